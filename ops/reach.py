"""Whether records can be traced to raw events: all that they name is there, events among it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from streams.errors import NotFound
from streams.lineage import Reference
from streams.trace import Tracer

LOST_MAX = 100  # told; all are counted


@dataclass
class Reach:
    """What came of it; `lost` says what is missing, or that no event was found."""

    checked: int = 0
    reached: int = 0
    lost: list[str] = field(default_factory=list)


def reach(
    tracer: Tracer, records: Iterable[Reference], told: Callable[[], None] = lambda: None
) -> Reach:
    """Trace each of these records up. Of a range that one names the last record is traced too."""
    found, known = Reach(), dict[Reference, str | None]()
    for reference in records:
        found.checked += 1
        reason = _missing(tracer, reference, known)
        if reason is None:
            found.reached += 1
        elif len(found.lost) < LOST_MAX:
            found.lost.append(f"{reference}: {reason}")
        told()
    return found


def _missing(
    tracer: Tracer, reference: Reference, known: dict[Reference, str | None]
) -> str | None:
    """Why a record does not lead to events; None if it does."""
    if reference not in known:
        known[reference] = None  # so that a record which names itself ends nothing
        known[reference] = _looked_for(tracer, reference, known)
    return known[reference]


def _looked_for(
    tracer: Tracer, reference: Reference, known: dict[Reference, str | None]
) -> str | None:
    try:
        trace = tracer.up(reference)
    except NotFound as error:
        return str(error)
    nodes = trace.nodes.values()
    ranges = [node.reference for node in nodes if node.kind == "range"]
    ends = [replace(one, number=one.last, last=None) for one in ranges if one.last is not None]
    reasons = [node.missing for node in nodes if node.missing is not None]
    reasons += [reason for end in ends if (reason := _missing(tracer, end, known)) is not None]
    if trace.cut:
        reasons.append(f"it comes from more than {len(nodes):,} records")
    if reasons:
        return reasons[0]
    reached = bool(ends) or any(node.kind == "event" for node in nodes)
    return None if reached else "it leads to no event"
