"""The first visit does not count, the south is closed too, and a new stream says where it is
crowded.
"""

from __future__ import annotations

from schemas.record import Record, Stream, field
from streams.errors import Refusal
from streams.processor import fold, hours, transform
from tests.system.clinic.flow import Count, Visit, Visits


class Crowd(Record, stream=Stream("clinic.signal.crowd", "person", "at_ms", "ward")):
    """Somebody makes it crowded."""

    person: str = field("Number of the person.", sensitivity="personal")
    at_ms: int = field("When.", unit="ms", ge=0)


@fold(reads=Visit, writes=Count, state=Visits, key="person", expires=hours(900))
def counts(state: Visits | None, visit: Visit) -> tuple[Visits, list[Count]]:
    """Count a visit, but the first."""
    if visit.ward in ("closed", "south"):
        raise Refusal(f"{visit.person} cannot come to a ward that is closed")
    visits = 0 if state is None else state.visits + 1
    count = [Count(person=visit.person, at_ms=visit.at_ms, visits=visits)] if visits else []
    return Visits.model_construct(person=visit.person, visits=visits), count


@transform(reads=Count, writes=Crowd)
def crowds(count: Count) -> list[Crowd]:
    """Everybody who comes is a crowd."""
    return [Crowd(person=count.person, at_ms=count.at_ms)]
