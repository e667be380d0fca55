"""Hostile bytes: the campaign finds nothing, and finds what is broken on purpose."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from ops.fuzz import cases
from ops.fuzz.cases import Campaign, Wrong
from ops.fuzz.child import CASE_MS_MAX
from ops.fuzz.run import failed, fuzz
from schemas.flights import Departure
from streams.codec import Codec
from streams.errors import Undecodable

SEED = 20_261_125
CRASHES = """
import os, signal, struct, sys
open(sys.argv[4], "r+b").write(struct.pack("<q", 7))
os.kill(os.getpid(), signal.SIGSEGV)
"""


def test_twenty_thousand_hostile_values_crash_nothing() -> None:
    result = fuzz(SEED, 20_000, ("processors", "ops.examples"))
    print(result)
    assert (result["crashes"], result["faults"], result["slow"]) == ([], [], 0)
    assert result["case_ms_max"] <= CASE_MS_MAX
    outcomes = result["outcomes"]
    assert sum(outcomes.values()) == 20_000
    assert {
        "EMPTY", "OUT_OF_BOUNDS", "TAKEN", "TOO_LARGE", "TRAILING_BYTES", "TRUNCATED",
        "UNDECODABLE", "UNKNOWN_SCHEMA", "UNSAFE_SCHEMA", "WIRE_FORMAT",
    } == set(outcomes)  # fmt: skip
    assert outcomes["TAKEN"] > 4_000


def test_a_seed_repeats_a_campaign_case_by_case() -> None:
    whole = [Campaign(SEED, [Departure]).run(n) for n in range(60)]
    one = Campaign(SEED, [Departure])
    assert [one.run(n) for n in (59, 3, 48)] == [whole[59], whole[3], whole[48]]


def lenient(codec: Codec) -> Any:
    """Takes what fastavro takes."""
    return codec.decode_fast


def last_branch(codec: Codec) -> Any:
    """Takes a branch of -1."""

    def decode(value: bytes) -> Any:
        try:
            return codec._decode_strictly(value)
        except Undecodable as error:
            if "branch -" in str(error):
                return None
            raise

    return decode


def untyped(codec: Codec) -> Any:
    """Lets an error of Python's own through."""

    def decode(value: bytes) -> Any:
        value[5:9].decode("ascii")
        return codec._decode_strictly(value)

    return decode


def narrow(codec: Codec) -> Any:
    """Refuses blocks that say their size, which are legal."""

    def decode(value: bytes) -> Any:
        record = codec._decode_strictly(value)
        if value[:5] == codec.prefix and codec.encode(record) != value:
            raise Undecodable("not as we would write it")
        return record

    return decode


@pytest.mark.parametrize("breaks", [lenient, last_branch, untyped, narrow])
def test_a_broken_decoder_is_found(
    breaks: Callable[[Codec], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cases._codec

    def broken(*arguments: Any) -> Codec:
        codec = whole(*arguments)
        codec.decode = breaks(codec)
        return codec

    monkeypatch.setattr(cases, "_codec", broken)
    campaign = Campaign(SEED, [Departure])
    found: Counter[str] = Counter()
    for number in range(500):
        try:
            campaign.run(number)
        except (Wrong, UnicodeDecodeError) as error:
            found[type(error).__name__] += 1
    print(found)
    assert sum(found.values()) > 2


def test_a_child_that_dies_says_at_which_case() -> None:
    result = fuzz(SEED, 10, (), child_program=("-c", CRASHES))
    assert [(c["case"], c["exit"]) for c in result["crashes"]] == [(7, -signal.SIGSEGV)]
    assert failed(result)
