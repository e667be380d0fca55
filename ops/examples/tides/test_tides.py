"""How a flow is tested: records in, records out, no Kafka.

The driver runs the same graph, codecs and state as a worker does.
"""

from __future__ import annotations

from itertools import count

from ops.examples.tides.records import FloodAlert, HourLevel, Reading
from streams.driver import CRASH, Driver
from streams.processor import Clock
from streams.topology import discover

HOUR_MS = 3_600_000
NUMBERS = count()


def read(gauge: str, minute: int, level: float) -> Reading:
    """A reading so many minutes after the start."""
    name = f"{gauge}-{next(NUMBERS)}"
    return Reading(reading_id=name, gauge=gauge, measured_ms=minute * 60_000, level=level)


def driver() -> Driver:
    """The flow, in memory."""
    return Driver(discover(["ops.examples.tides"]).flow("tides"))


def test_hour_is_closed_with_the_mean_of_its_readings() -> None:
    """Time closes an hour: another reading, of whatever gauge, or the clock."""
    tides = driver().run(
        [read("CUX", 0, 1.0), read("CUX", 30, 2.0), read("HAM", 45, 4.0), read("CUX", 61, 3.0)]
    )
    assert tides.read(HourLevel) == [
        HourLevel(gauge="CUX", closed_ms=HOUR_MS, readings=2, level=1.5),
    ]
    assert tides.run([Clock(4 * HOUR_MS)]).read(HourLevel)[1:] == [
        HourLevel(gauge="HAM", closed_ms=HOUR_MS + 45 * 60_000, readings=1, level=4.0),
        HourLevel(gauge="CUX", closed_ms=2 * HOUR_MS + 60_000, readings=1, level=3.0),
    ]


def test_water_above_the_quay_raises_an_alert() -> None:
    """Whatever dies meanwhile: `CRASH` forgets all memory and restores it from the topics."""
    tides = driver().run([read("HAM", 0, 4.0), CRASH, read("HAM", 20, 5.5), Clock(2 * HOUR_MS)])
    assert tides.read(FloodAlert) == [FloodAlert(gauge="HAM", closed_ms=HOUR_MS, excess=0.25)]


def test_leaping_level_is_refused() -> None:
    """A refused record is kept as a dead letter; the hour goes on without it."""
    tides = driver().run([read("CUX", 0, 1.0), read("CUX", 10, 9.0), Clock(2 * HOUR_MS)])
    assert [letter.headers["error.message"] for letter in tides.dead_letters] == [
        b"the level leaps from 1.0 to 9.0 m"
    ]
    assert tides.read(HourLevel) == [
        HourLevel(gauge="CUX", closed_ms=HOUR_MS, readings=1, level=1.0)
    ]
