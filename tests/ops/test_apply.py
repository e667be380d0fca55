"""Topics that were just made are waited for until they can be used."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

import ops.apply
from ops.apply import await_topics
from streams.errors import BrokerError


def cluster(counts: list[dict[str, int]], faults: list[str]) -> Any:
    """A cluster that comes to know its topics one answer after the other."""

    def ends(places: Iterable[tuple[str, int]]) -> None:
        assert sorted(places) == [("a", 0), ("a", 1), ("b", 0)]
        if faults:
            raise BrokerError(faults.pop(0))

    return SimpleNamespace(partitions=lambda: counts.pop(0) if counts[1:] else counts[0], ends=ends)


def test_topics_are_waited_for_until_a_broker_says_where_they_end() -> None:
    faults = ["UNKNOWN_TOPIC_OR_PART", "NOT_LEADER_FOR_PARTITION"]
    counts: list[dict[str, int]] = [{"a": 2}, {"a": 2, "b": 0}, {"a": 2, "b": 1, "other": 1}]
    await_topics(cluster(counts, faults), {"a", "b"})
    assert faults == []
    assert len(counts) == 1, "the first two were not enough"


@pytest.mark.parametrize(
    ("counts", "faults", "told"),
    [
        ([{"a": 2}], [], "topics do not appear: b"),
        ([{"a": 2, "b": 1}], ["NOT_LEADER"] * 9, "NOT_LEADER"),
    ],
)
def test_topics_are_not_waited_for_for_ever(
    counts: list[dict[str, int]], faults: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops.apply, "TOPICS_S_MAX", 0.0)
    with pytest.raises(BrokerError, match=told):
        await_topics(cluster(counts, faults), {"a", "b"})
