from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ops.lineage_file import Batch, LineageFile, Overtaken, remove
from streams.lineage import DERIVED, FOREIGN, Reference, name_code, names_of
from streams.trace import Span

EVENT, FEATURE = "toy.event.tick", "toy.feature.total"
NAMES = names_of([EVENT, FEATURE])
PLACE = ("toy.feature.total", 0)


def opened(folder: Path) -> LineageFile:
    return LineageFile(folder / "lineage.sqlite", NAMES)


def batch(file: LineageFile, start: int = 0) -> Batch:
    """Feature #0 names event @5, feature #1 the events @0..@7."""
    event = file.place(name_code(EVENT), FOREIGN)
    feature = file.place(name_code(FEATURE), DERIVED)
    found = Batch({PLACE: start})
    found.positions[PLACE] = start + 2
    found.edges.append((event, 5, feature, 0))
    found.spans.append((event, feature, 1, 0, 7))
    found.counts[(name_code("adding"), event, feature)] += 2
    return found


def test_children_and_ranges_of_a_record_are_found(tmp_path: Path) -> None:
    file = opened(tmp_path)
    file.commit(batch(file))
    parent = Reference(EVENT, 0, FOREIGN, 5)
    assert list(file.children(parent)) == [Reference(FEATURE, 0, DERIVED, 0)]
    assert list(file.spans(parent)) == [Span(Reference(FEATURE, 0, DERIVED, 1, 1), 1)]
    assert list(file.spans(Reference(EVENT, 0, FOREIGN, 8))) == []
    assert list(file.children(Reference(FEATURE, 0, DERIVED, 0))) == []
    assert [count for *_, count in file.edges()] == [2]


def test_who_was_overtaken_writes_nothing_twice(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    first.commit(batch(first))
    with pytest.raises(Overtaken):
        second.commit(batch(second))
    second.roll_back()
    assert second.positions() == {PLACE: 2}
    assert [count for *_, count in second.edges()] == [2]
    second.commit(batch(second, start=2))
    assert [count for *_, count in first.edges()] == [4]


def test_what_is_forgotten_is_read_again(tmp_path: Path) -> None:
    file = opened(tmp_path)
    file.belong_to({FEATURE: "one"})
    file.commit(batch(file))
    assert file.topics() == {FEATURE: "one"}
    file.forget()
    assert (file.topics(), file.positions(), list(file.edges())) == ({}, {}, [])
    file.commit(batch(file))
    assert len(list(file.children(Reference(EVENT, 0, FOREIGN, 5)))) == 1


def test_file_that_is_none_can_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "lineage.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        opened(tmp_path)
    remove(path)
    assert opened(tmp_path).positions() == {}


def test_file_of_another_format_is_made_anew(tmp_path: Path) -> None:
    file = opened(tmp_path)
    file.commit(batch(file))
    file.close()
    with sqlite3.connect(tmp_path / "lineage.sqlite") as db:
        db.execute("PRAGMA user_version = 999")
    assert opened(tmp_path).positions() == {}
