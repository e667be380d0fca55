"""The benchmarks as a user runs them, cut short."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.broker, pytest.mark.full]

SHORT = ("--peers", "confluent_loop", "--peers", "faust", "--records", "600000", "--rounds", "1")


def test_hop_compares_what_engines_wrote(start: Callable[..., Any]) -> None:
    code, out, error = start("bench", "hop", *SHORT, "--seconds", "2", "-o", "json").wait(200)
    assert code == 0, error
    found = json.loads(out)
    assert found["rates"].keys() == {"doa", "confluent_loop", "faust"}
    assert all(rate > 0 for rate in found["rates"].values())
    assert found["ratios"].keys() == {"confluent_loop", "faust"}
    assert found["guarantees"]["doa"] == "exactly once"


def test_columns_are_compared_with_a_loop(start: Callable[..., Any]) -> None:
    words = ("--records", "20000", "--rounds", "1", "-o", "json")
    code, out, error = start("bench", "columns", *words).wait(100)
    assert code == 0, error
    found = json.loads(out)
    assert found["ratios"].keys() == {"all columns", "its fields", "two fields"}
    assert all(ratio > 0 for ratio in found["ratios"].values())


def test_unknown_peer_is_named(start: Callable[..., Any]) -> None:
    code, out, error = start("bench", "hop", "--peers", "flink").wait()
    assert (code, out) == (2, "")
    assert "flink: use doa, confluent_loop, faust" in error
