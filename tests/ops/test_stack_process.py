"""Ports and processes of the embedded stack: chosen, found again, told from those of others."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.stack.errors import PortTaken, StartFailed
from ops.stack.home import begin
from ops.stack.lock import Artifact, Lock
from ops.stack.ports import check_free, choose_port, is_free
from ops.stack.process import Server, explain, find, spawn, stop

LOCK = Lock("4.2.2", "3.3.3", (), Artifact("io.apicurio:app:tar.gz:all:3.3.3", 1, "0" * 64))


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Server]:
    server = Server("Sleeper", tmp_path / "sleeper")
    spawn(server, [sys.executable, "-c", "import time; time.sleep(60)"])
    yield server
    stop(server)


# Ports


def test_port_that_is_taken_is_skipped_at_the_first_start(taken: int) -> None:
    assert choose_port(taken) > taken


def test_port_of_another_checkout_is_not_chosen_even_while_that_one_is_down(tmp_path: Path) -> None:
    first = begin(tmp_path / "first", tmp_path / "cache", LOCK).ports
    second = begin(tmp_path / "second", tmp_path / "cache", LOCK).ports
    numbers = {first.kafka, first.controller, first.registry}
    assert numbers.isdisjoint({second.kafka, second.controller, second.registry})


def test_port_is_remembered_at_the_next_start(tmp_path: Path) -> None:
    first = begin(tmp_path, tmp_path / "cache", LOCK)
    assert begin(tmp_path, tmp_path / "cache", LOCK) == first


def test_port_deleted_by_hand_is_chosen_anew_and_the_cluster_stays(tmp_path: Path) -> None:
    first = begin(tmp_path, tmp_path / "cache", LOCK)
    raw = json.loads((tmp_path / "stack.json").read_text())
    del raw["ports"]
    (tmp_path / "stack.json").write_text(json.dumps(raw))
    again = begin(tmp_path, tmp_path / "cache", LOCK)
    assert again.cluster_id == first.cluster_id
    assert is_free(again.ports.kafka)


def test_port_taken_names_port_owner_and_next_step(taken: int, tmp_path: Path) -> None:
    with pytest.raises(PortTaken) as caught:
        check_free("Kafka", taken, tmp_path / "stack.json")
    assert f"port {taken} of Kafka is taken by" in caught.value.what
    assert f"(pid {os.getpid()})" in caught.value.what
    assert "stack.json" in caught.value.next_step


# Processes


def test_process_outlives_its_starter_in_a_session_of_its_own(sleeper: Server) -> None:
    process = find(sleeper)
    assert process is not None
    assert os.getsid(process.pid) == process.pid != os.getsid(0)


def test_process_is_found_again_and_stopped(sleeper: Server) -> None:
    assert stop(sleeper)
    assert find(sleeper) is None
    assert not stop(sleeper)


def test_process_that_ended_leaves_no_pid_file(sleeper: Server) -> None:
    process = find(sleeper)
    assert process is not None
    process.kill()
    process.wait(5)
    assert find(sleeper) is None
    assert not sleeper.pid_file.exists()


def test_pid_that_was_given_to_another_process_is_not_ours(tmp_path: Path) -> None:
    server = Server("Kafka", tmp_path)
    stale = {"pid": os.getpid(), "created": psutil.Process().create_time() - 3600}
    server.pid_file.write_text(json.dumps(stale))
    assert not stop(server)
    assert not server.pid_file.exists()


@pytest.mark.parametrize("content", ["", "not json", "{}", "[]", '{"pid": "x", "created": 0}'])
def test_pid_file_that_cannot_be_read_counts_as_none(tmp_path: Path, content: str) -> None:
    server = Server("Kafka", tmp_path)
    server.pid_file.write_text(content)
    assert find(server) is None


def test_process_that_does_not_listen_to_a_polite_word_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.stack.process.STOP_SECONDS_MAX", 0.2)
    server = Server("Deaf", tmp_path)
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf'); time.sleep(60)"
    spawn(server, [sys.executable, "-u", "-c", deaf])
    deadline = time.monotonic() + 10
    while "deaf" not in server.output.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert stop(server)
    assert find(server) is None


def test_failed_start_shows_the_line_that_says_why(tmp_path: Path) -> None:
    server = Server("Kafka", tmp_path)
    log = tmp_path / "kafka.log"
    log.write_text("WARN slow\nERROR no room left\n\tat java.lang.Thread\nINFO closed\n")
    error = explain(server, "stopped while starting", log)
    assert isinstance(error, StartFailed)
    assert error.what == "Kafka stopped while starting: ERROR no room left"
