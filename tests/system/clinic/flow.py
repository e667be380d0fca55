"""Visits are registered under a person's number, and counted; some are refused."""

from __future__ import annotations

from schemas.record import Record, Stream, field
from streams.errors import Refusal
from streams.processor import fold, hours


class Address(Record):
    """Where somebody lives."""

    town: str = field("The town.")
    street: str = field("The street.", sensitivity="personal")


class Visit(Record, stream=Stream("clinic.event.visit", "person", "at_ms", "ward")):
    """Somebody comes to a ward."""

    person: str = field("Number of the person.", sensitivity="personal")
    at_ms: int = field("When.", unit="ms", ge=0)
    ward: str = field("The ward.")
    cost: float | None = field("What it costs.", unit="euro", sensitivity="internal", default=None)
    homes: list[Address] = field("Where the person lives.")
    contacts: dict[str, Address] = field("Who is to be told.")


class Count(Record, stream=Stream("clinic.feature.count", "person", "at_ms", "ward")):
    """How often somebody came."""

    person: str = field("Number of the person.", sensitivity="personal")
    at_ms: int = field("When.", unit="ms", ge=0)
    visits: int = field("How often.", ge=1)


class Visits(Record):
    """Visits so far."""

    person: str = field("Number of the person.", sensitivity="personal")
    visits: int = field("How often.", ge=1)


@fold(reads=Visit, writes=Count, state=Visits, key="person", expires=hours(900))
def counts(state: Visits | None, visit: Visit) -> tuple[Visits, list[Count]]:
    """Count a visit."""
    if visit.ward == "closed":
        raise Refusal(f"{visit.person} cannot come to a ward that is closed")
    visits = 1 if state is None else state.visits + 1
    count = Count(person=visit.person, at_ms=visit.at_ms, visits=visits)
    return Visits(person=visit.person, visits=visits), [count]
