"""Slots of workers on one host."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ops.slots import take_slot
from ops.worker import workers


def test_lowest_free_slot_is_taken_per_group(tmp_path: Path) -> None:
    first, second = take_slot(tmp_path, "flights"), take_slot(tmp_path, "flights")
    other = take_slot(tmp_path, "twin.flights")
    assert (first.number, second.number, other.number) == (0, 1, 0)
    first.release()
    third = take_slot(tmp_path, "flights")
    assert third.number == 0
    for slot in (second, other, third):
        slot.release()


def test_named_slot_is_taken_over_and_then_kept(tmp_path: Path) -> None:
    older = take_slot(tmp_path, "flights")
    younger = take_slot(tmp_path, "flights", 0)
    assert younger.number == 0
    older.release()
    for _ in range(100):  # the lock passes to the younger one in a thread of its own
        next_one = take_slot(tmp_path, "flights")
        next_one.release()
        if next_one.number == 1:
            break
        time.sleep(0.02)
    assert next_one.number == 1
    younger.release()


def test_workers_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "workers"
    folder.mkdir()
    (folder / f"{os.getpid()}.json").write_text('{"pid": 1, "web_port": 2}')
    (folder / "99999999.json").write_text("{}")
    assert workers(tmp_path) == [{"pid": 1, "web_port": 2}]
    assert [path.name for path in folder.iterdir()] == [f"{os.getpid()}.json"]
