"""A registry that takes its time holds up who asks, for a moment only."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from streams.asked_aside import AskedAside
from streams.errors import Asked, RegistryError, UnknownSchema

SCHEMA = {"type": "record", "name": "Thing", "fields": []}


class Slow:
    """A registry that answers when it is let; what it raises is set from outside."""

    def __init__(self) -> None:
        self.may, self.asked = threading.Event(), 0
        self.error: Exception | None = None

    def writer_schema(self, subject: str, schema_id: int) -> dict[str, Any]:
        self.asked += 1
        assert self.may.wait(20)
        if self.error is not None:
            raise self.error
        return SCHEMA

    def any_schema(self, schema_id: int) -> dict[str, Any]:
        return self.writer_schema("any", schema_id)

    def schema_id(self, subject: str, schema: dict[str, Any]) -> int:
        return 5


def _or_none(registry: AskedAside) -> dict[str, Any] | None:
    try:
        return registry.writer_schema("subject", 7)
    except RegistryError:
        return None


def test_answer_that_is_late_is_there_for_who_asks_again() -> None:
    slow = Slow()
    registry = AskedAside(slow)
    with pytest.raises(Asked, match="is asked about schema 7"):
        registry.writer_schema("subject", 7)
    with pytest.raises(Asked, match="is asked about schema 7"):
        registry.writer_schema("subject", 7)
    slow.may.set()
    while (found := _or_none(registry)) is None:
        pass
    assert (found, slow.asked) == (SCHEMA, 1)
    assert registry.any_schema(7) == SCHEMA
    assert registry.schema_id("subject", SCHEMA) == 5


def test_outage_is_asked_about_again_and_a_refusal_is_told() -> None:
    slow = Slow()
    slow.may.set()
    slow.error = RegistryError("away")
    registry = AskedAside(slow)
    with pytest.raises(RegistryError, match="away"):
        registry.writer_schema("subject", 7)
    slow.error = None
    slow.may.clear()
    with pytest.raises(RegistryError, match="away"):  # what it said last
        while True:
            registry.writer_schema("subject", 7)
    slow.may.set()
    while (found := _or_none(registry)) is None:
        pass
    assert found == SCHEMA
    slow.error = UnknownSchema("no schema has the id 7")
    with pytest.raises(UnknownSchema, match="no schema has the id 7"):
        registry.writer_schema("subject", 7)
