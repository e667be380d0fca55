"""A file is there whole or not at all, and whoever cannot write it says so under one name."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ops import cli
from ops.commands.describe import _write as write_description
from ops.lineage_file import LineageFile, remove
from ops.outlined import FILE, outlined
from ops.slots import take_slot
from ops.stack.home import held
from ops.stack.properties import write_properties
from ops.whole import whole, write_new, write_whole
from streams.errors import NotWritten
from streams.snapshot import Keys

TIDES = ("ops.examples",)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def hold(path: Path) -> None:
    with held(path, "busy"):
        raise AssertionError("it was to be refused")


def slot(path: Path) -> None:
    take_slot(path, "flights")


def half(path: Path) -> None:
    with whole(path) as part, part.open("w") as file:
        file.write("half")


@pytest.mark.parametrize(
    "write",
    [
        half,
        hold,
        slot,
        lambda path: write_whole(path, "a"),
        lambda path: write_new(path, "a"),
        lambda path: write_description(path, "a"),
        lambda path: write_properties(path, {"a": 1}),
        lambda path: LineageFile(path, {}),
        remove,
        Keys.load_or_create,
        Keys.rotate,
    ],
)
def test_file_that_cannot_be_written_has_one_error(
    tmp_path: Path, write: Callable[[Path], Any]
) -> None:
    (tmp_path / "a file").write_text("is no folder")
    path = tmp_path / "a file" / "in it"
    with pytest.raises(NotWritten, match=r"in it.* cannot be written: (Not a dir|File exists)"):
        write(path)
    assert names(tmp_path) == ["a file"]


def test_file_that_is_a_folder_is_not_replaced_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(NotWritten, match=r"taken cannot be written: it is no file"):
        write_whole(tmp_path / "taken", "a")
    assert write_new(tmp_path / "taken", "a") is False
    assert names(tmp_path) == ["taken"]
    with pytest.raises(NotWritten, match=r"lineage cannot be written: unable to open"):
        (tmp_path / "lineage").mkdir()
        LineageFile(tmp_path / "lineage", {})


def test_of_several_who_write_a_new_file_one_does(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "new"
    texts = [str(n) * 10_000 for n in range(8)]
    with ThreadPoolExecutor(len(texts)) as pool:
        done = list(pool.map(lambda text: write_new(path, text), texts))
    assert done.count(True) == 1
    assert path.read_text() == texts[done.index(True)]
    assert names(path.parent) == ["new"]


def test_outline_that_cannot_be_kept_is_loaded_each_time(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    for _ in range(2):
        assert "tides.event.reading" in outlined(TIDES, tmp_path).records
    assert names(tmp_path) == [FILE]


def test_command_that_cannot_write_says_so_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    target = str(tmp_path / "a file" / "in it")
    ran = CliRunner().invoke(cli.doa, ["describe", "openlineage", "--to", target])
    assert isinstance(ran.exception, NotWritten)
    assert str(ran.exception) == f"{target} cannot be written: Not a directory"


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "new").symlink_to(tmp_path / "old")
    (tmp_path / "old").write_text("before")
    write_whole(tmp_path / "new", "after")
    assert (tmp_path / "new").is_symlink()
    assert (tmp_path / "old").read_text() == "after"


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotWritten, match=r"pipe cannot be written: it is no file"):
        write_whole(tmp_path / "pipe", "text")
    assert (tmp_path / "pipe").is_fifo()


def test_replaced_file_is_open_to_those_who_could_read_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "of mine"
    path.write_text("before")
    path.chmod(0o600)
    with whole(path) as part:
        assert part.stat().st_mode & 0o777 == 0o600, "before anything is written"
        part.write_text("after")
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o444)
    with whole(path) as part:
        assert part.stat().st_mode & 0o777 == 0o644, "or only root could write it"
    assert path.stat().st_mode & 0o777 == 0o444
