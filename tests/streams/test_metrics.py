"""Counters for Prometheus, read from the plain integers of steps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ops.examples.agents.desk.records import Delay, Rebooking
from streams.driver import Driver
from streams.metrics import exposition, metrics_of
from streams.tally import Tally
from streams.topology import discover

DESK = discover(("ops.examples.agents.desk",)).flow("desk")


def delay(number: int, minutes: int) -> Delay:
    return Delay(airport="EWR", flight=f"UA{number}", announced_ms=number, minutes=minutes)


def loop_of(driver: Driver) -> Any:
    return SimpleNamespace(
        plan=driver.plan,
        units=driver.units,
        tally=Tally(),
        commits=3,
        aborts=1,
        reason=None,
        lags=lambda: {("desk.event.delay", 0): 7},
    )


def samples(loop: Any) -> dict[str, float]:
    lines = exposition(metrics_of([loop])).splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs if "seconds" not in name}


def test_each_processor_is_counted_and_the_intake_before_them() -> None:
    driver = Driver(DESK)
    late = Rebooking(airport="EWR", flight="UA9", booked_ms=9)
    driver.run([delay(1, 200), delay(2, 10), delay(2, 10), late])
    found = samples(loop_of(driver))
    assert found.pop("worker_rss_bytes") > 10_000_000
    assert found == {
        'flow_records_in_total{flow="desk",processor=""}': 4,
        'flow_records_in_total{flow="desk",processor="late"}': 2,
        'flow_records_in_total{flow="desk",processor="desk_load"}': 2,
        'flow_records_out_total{flow="desk",processor=""}': 0,
        'flow_records_out_total{flow="desk",processor="late"}': 1,
        'flow_records_out_total{flow="desk",processor="desk_load"}': 1,
        'flow_dead_letters_total{flow="desk",processor=""}': 1,
        'flow_dead_letters_total{flow="desk",processor="late"}': 0,
        'flow_dead_letters_total{flow="desk",processor="desk_load"}': 1,
        'flow_commits_total{flow="desk"}': 3,
        'flow_aborts_total{flow="desk"}': 1,
        'flow_lag_records{flow="desk",partition="0",topic="desk.event.delay"}': 7,
        'flow_ready{flow="desk"}': 1,
        'flow_units{flow="desk"}': 1,
    }


def test_counters_never_go_back_when_a_unit_is_dropped() -> None:
    driver = Driver(DESK)
    loop = loop_of(driver)
    driver.run([delay(1, 200)])
    name = 'flow_records_in_total{flow="desk",processor="late"}'
    assert samples(loop)[name] == 1
    loop.tally.drop(loop.units)
    assert (samples(loop)[name], loop.units) == (1, {})
    driver.units = loop.units
    driver.crash()
    loop.units = driver.units
    driver.run([delay(2, 200)])
    assert samples(loop)[name] == 2
