"""A registry that takes its time holds up who asks, for a moment only."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from streams import asked_aside
from streams.asked_aside import AskedAside
from streams.errors import Asked, RegistryError, UnknownSchema

WAIT_S = 20.0
SCHEMA = {"type": "record", "name": "Thing", "fields": []}


class Slow:
    """A registry that answers when it is let; what it raises is set from outside."""

    def __init__(self) -> None:
        self.may, self.asked, self.waiting = threading.Event(), 0, 0
        self.error: Exception | None = None

    def writer_schema(self, subject: str, schema_id: int) -> dict[str, Any]:
        self.asked, self.waiting = self.asked + 1, self.waiting + 1
        assert self.may.wait(WAIT_S)
        self.waiting -= 1
        if self.error is not None:
            raise self.error
        return SCHEMA

    def any_schema(self, schema_id: int) -> dict[str, Any]:
        return self.writer_schema("any", schema_id)

    def schema_id(self, subject: str, schema: dict[str, Any]) -> int:
        return 5


def answered(registry: AskedAside) -> dict[str, Any]:
    """The answer, when it is there."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return registry.writer_schema("subject", 7)
        except RegistryError:
            assert time.monotonic() < deadline, "no answer"


def test_answer_that_is_late_is_there_for_who_asks_again() -> None:
    slow = Slow()
    registry = AskedAside(slow)
    with pytest.raises(Asked, match="is asked about schema 7"):
        registry.writer_schema("subject", 7)
    with pytest.raises(Asked, match="is asked about schema 7"):
        registry.writer_schema("subject", 7)
    slow.may.set()
    assert (answered(registry), slow.asked) == (SCHEMA, 1)
    assert registry.any_schema(7) == SCHEMA
    assert registry.schema_id("subject", SCHEMA) == 5


def test_outage_is_asked_about_again_and_a_refusal_is_told() -> None:
    slow = Slow()
    slow.may.set()
    slow.error = RegistryError("away")
    registry = AskedAside(slow)
    with pytest.raises(RegistryError, match="away"):
        registry.writer_schema("subject", 7)
    slow.may.clear()
    deadline = time.monotonic() + WAIT_S
    while slow.waiting == 0:  # one that was asked before the registry was slow has failed as well
        assert time.monotonic() < deadline
        with pytest.raises(RegistryError, match="away"):  # what it said last
            registry.writer_schema("subject", 7)
    slow.error = None
    slow.may.set()
    assert answered(registry) == SCHEMA
    slow.error = UnknownSchema("no schema has the id 7")
    with pytest.raises(UnknownSchema, match="no schema has the id 7"):
        registry.writer_schema("subject", 7)


def test_answer_that_nobody_came_for_in_time_is_asked_for_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Slow()
    slow.error = UnknownSchema("not yet")
    registry = AskedAside(slow)
    with pytest.raises(Asked):
        registry.writer_schema("subject", 7)
    slow.may.set()
    deadline = time.monotonic() + WAIT_S
    while slow.waiting:
        assert time.monotonic() < deadline
    monkeypatch.setattr(asked_aside, "KEPT_S", -1.0)
    slow.error = None
    assert answered(registry) == SCHEMA
    assert slow.asked == 2
