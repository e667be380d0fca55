"""Who came is not marked as personal any more, and counts come later: each is a new record."""

from __future__ import annotations

from schemas.record import Record, Stream, field
from streams.processor import fold, hours
from tests.system.clinic.flow import Visit, Visits
from tests.system.clinic.flow import counts as ordinary


class Count(Record, stream=Stream("clinic.feature.count", "person", "at_ms", "ward")):
    """How often somebody came."""

    person: str = field("Number of the person.")
    at_ms: int = field("When.", unit="ms", ge=0)
    visits: int = field("How often.", ge=1)


@fold(reads=Visit, writes=Count, state=Visits, key="person", expires=hours(900))
def counts(state: Visits | None, visit: Visit) -> tuple[Visits, list[Count]]:
    """Count a visit."""
    after, [count] = ordinary.function(state, visit)
    later = count.at_ms + 5
    return after, [Count(person=count.person, at_ms=later, visits=count.visits)]
