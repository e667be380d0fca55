"""The replay of the flights of 2013: its cuts, its positions and its end."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from processors.nycflights.replay import Cursor, events, nycflights, read_timeline
from schemas.flights import Arrival, Cancellation, Departure, Schedule, Weather
from schemas.record import Record
from streams.errors import StreamsError
from streams.processor import Clock


def time_of(record: Record | Clock) -> int:
    assert isinstance(record, Record)
    assert record.stream is not None
    at_ms = getattr(record, record.stream.event_time)
    assert isinstance(at_ms, int)
    return at_ms


def test_cut_of_ninety_thousand_flights_reaches_april() -> None:
    timeline = read_timeline(90_000)
    assert len(timeline) == 274_399
    assert datetime.fromtimestamp(timeline.last_ms / 1_000, UTC).isoformat() > "2013-04-08"


def test_cut_holds_all_that_happened_to_its_flights() -> None:
    cut = list(events(2_000))
    scheduled = [e for e in cut if isinstance(e, Schedule)]
    longer = [e for e in events(2_500) if isinstance(e, Schedule)]
    assert scheduled == longer[:2_000]
    names = {e.flight_id for e in scheduled}
    assert {e.flight_id for e in cut if isinstance(e, Departure | Cancellation)} == names
    last_ms = max(time_of(e) for e in cut if not isinstance(e, Weather))
    assert time_of(cut[-1]) == last_ms
    assert max(e.observed_ms for e in cut if isinstance(e, Weather)) > last_ms - 3_600_000


def test_replay_goes_on_from_any_position_and_ends_with_a_clock() -> None:
    whole = list(nycflights(None, flights=300))
    assert [p for p, _ in whole] == [Cursor(count=n + 1, flights=300) for n in range(len(whole))]
    assert [r for _, r in whole[:-1]] == list(events(300))
    last_ms = time_of(whole[-2][1])
    assert whole[-1][1] == Clock(last_ms + 4 * 86_400_000)
    for position in (1, 500, len(whole) - 1, len(whole)):
        cursor = Cursor(count=position, flights=300)
        assert list(nycflights(cursor, flights=300)) == whole[position:]


def test_replay_does_not_go_on_with_another_cut() -> None:
    with pytest.raises(StreamsError, match="a replay of 300 flights cannot go on with 400"):
        next(nycflights(Cursor(count=7, flights=300), flights=400))


@pytest.mark.parametrize("flights", [0, -1, 336_777])
def test_cut_without_flights_is_refused(flights: int) -> None:
    with pytest.raises(StreamsError, match="the year has from 1 to 336776"):
        next(nycflights(None, flights=flights))


def test_smallest_cut_is_one_flight() -> None:
    assert [type(r) for r in events(1) if not isinstance(r, Weather)] == [
        Schedule,
        Departure,
        Arrival,
    ]


def test_importing_the_source_does_not_load_pandas() -> None:
    code = "import sys, processors.nycflights.replay; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
