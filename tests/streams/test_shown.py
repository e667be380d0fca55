from __future__ import annotations

from ops.examples.tides.records import FloodAlert, HourLevel, Reading
from streams.driver import Driver
from streams.masking import masks_of
from streams.outline import outline
from streams.processor import Clock
from streams.shown import Shown, View
from streams.topology import discover

TIDES = discover(["ops.examples.tides"])


def tides() -> Driver:
    def read(number: int, minute: int, level: float) -> Reading:
        name = f"r{number}"
        return Reading(reading_id=name, gauge="CUX", measured_ms=minute * 60_000, level=level)

    readings = [read(0, 0, 4.0), read(1, 30, 6.0), read(2, 31, 1.0)]
    return Driver(TIDES.flow("tides")).run([*readings, Clock(7_200_000)])


def shown(ran: Driver, topic: str) -> list[Shown]:
    view = View(ran.plan.registry, TIDES.names, "twin.", masks_of(outline(TIDES)))
    return [view.show(f"twin.{topic}", 0, stored) for stored in ran.stored(topic)]


def test_derived_record_is_shown_with_its_id_and_parents() -> None:
    ran = tides()
    (level,) = shown(ran, "tides.feature.level")
    assert level.id == "tides.feature.level[0]#0"
    assert level.parents == ("tides.event.reading[0]@0", "tides.event.reading[0]@1")
    assert (level.processor, level.model_version, level.key) == ("hour_level", None, "CUX")
    assert level.code_version == TIDES.flow("tides").code_version
    value = ran.stored("tides.feature.level")[0].value
    assert value is not None
    assert level.schema_id == int.from_bytes(value[1:5], "big")
    assert level.value == dict(ran.read(HourLevel)[0])
    (alert,) = shown(ran, "tides.alert.flood")
    assert alert.parents == ("tides.feature.level[0]#0",)
    assert ran.read(FloodAlert)[0].excess == 0.5


def test_foreign_record_is_shown_with_its_offset() -> None:
    readings = shown(tides(), "tides.event.reading")
    assert [r.id for r in readings] == [f"tides.event.reading[0]@{n}" for n in range(3)]
    assert [r.parents for r in readings] == [()] * 3


def test_dead_letter_is_shown_with_what_was_wrong() -> None:
    (letter,) = shown(tides(), "tides.dead_letter")
    assert letter.headers["error.message"] == "the level leaps from 6.0 to 1.0 m"
    assert letter.value is not None
    assert letter.value["reading_id"] == "r2"
    assert letter.parents == ("tides.event.reading[0]@2",)


def test_what_cannot_be_decoded_is_shown_as_hex_with_the_reason() -> None:
    ran = tides()
    ran.publish_raw("tides.event.reading", b"\xff\x00", b"{}", doa=b"not ours")
    broken = shown(ran, "tides.event.reading")[-1]
    assert (broken.id, broken.key) == ("tides.event.reading[0]@3", "0xff00")
    assert (broken.value, broken.hex) == (None, "7b7d")
    assert broken.error == (
        "WIRE_FORMAT: the value begins with 7b7d; 00 and a schema id were expected"
    )
