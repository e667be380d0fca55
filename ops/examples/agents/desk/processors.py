"""The flow `desk`: a transform that raises alerts, a fold that counts what is still open."""

from __future__ import annotations

from collections.abc import Iterable

from ops.examples.agents.desk.records import Delay, DeskLoad, LateAlert, OpenCases, Rebooking
from streams.errors import Refusal
from streams.processor import days, fold, transform

LATE_MINUTES = 120


@transform(reads=Delay, writes=LateAlert)
def late(delay: Delay) -> Iterable[LateAlert]:
    """Raise an alert for a delay of two hours or more."""
    if delay.minutes >= LATE_MINUTES:
        yield LateAlert(airport=delay.airport, flight=delay.flight, announced_ms=delay.announced_ms)


@fold(
    reads=(LateAlert, Rebooking), writes=DeskLoad, state=OpenCases, key="airport", expires=days(7)
)
def desk_load(
    state: OpenCases | None, record: LateAlert | Rebooking
) -> tuple[OpenCases | None, list[DeskLoad]]:
    """Count the late flights of an airport that nobody has rebooked yet."""
    flights = state.flights if state else []
    if isinstance(record, LateAlert):
        flights = [*flights, record.flight]
        changed_ms = record.announced_ms
    elif record.flight in flights:
        flights = [flight for flight in flights if flight != record.flight]
        changed_ms = record.booked_ms
    else:
        raise Refusal(f"{record.flight} was not late")
    load = DeskLoad(airport=record.airport, changed_ms=changed_ms, open_cases=len(flights))
    return OpenCases(flights=flights) if flights else None, [load]
