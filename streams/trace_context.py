"""W3C trace context: what a tracer outside sent with an event goes on with all that comes of it.

Every record that a unit writes while it takes an input whose `traceparent` is valid bears one of
the same trace, and the same `tracestate`. Its parent id is made of the record's own id, so that a
replay writes the same bytes; nothing is drawn by chance, and nothing is remembered: what expires
was triggered by no record, and bears none. A `traceparent` that is none is left out, as W3C asks.

It is added to outputs after they were made, so that records without it cost nothing.

References
----------
Trace Context, Level 2, https://www.w3.org/TR/trace-context-2/
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from streams.lineage import HEADER, header_number

if TYPE_CHECKING:
    from streams.merge import Input
    from streams.unit import Unit

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
HEADERS = (TRACEPARENT, TRACESTATE)
TRACEPARENT_BYTES_MAX = 512  # of a version to come; today's has 55
TRACESTATE_BYTES_MAX = 512
KNOWN_FLAGS = 0b11  # sampled, random: the others are reserved, and to be zero
SPAN_BYTES = 8

_SHAPE = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?",
    re.DOTALL,
)


class Context(NamedTuple):
    """The trace of an input record: what all records that come of it share."""

    trace_id: bytes
    flags: bytes
    state: bytes | None = None

    def headers(self, identity: str) -> list[tuple[str, bytes]]:
        """The headers of a record that comes of it, by the record's id."""
        parent = b"-".join((b"00", self.trace_id, span_of(identity), self.flags))
        found = [(TRACEPARENT, parent)]
        return found if self.state is None else [*found, (TRACESTATE, self.state)]


def context_of(headers: dict[str, bytes]) -> Context | None:
    """The trace context in a record's headers; None when there is no valid one.

    >>> told = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    >>> context_of({"traceparent": told})
    Context(trace_id=b'4bf92f3577b34da6a3ce929d0e0e4736', flags=b'01', state=None)
    >>> context_of({"traceparent": told.upper()})
    """
    told = headers.get(TRACEPARENT)
    if told is None or len(told) > TRACEPARENT_BYTES_MAX:
        return None
    match = _SHAPE.fullmatch(told)
    if match is None or (match[4] is not None and match[1] == b"00"):
        return None
    state = headers.get(TRACESTATE)
    kept = state if state and len(state) <= TRACESTATE_BYTES_MAX else None
    return Context(match[2], b"%02x" % (int(match[3], 16) & KNOWN_FLAGS), kept)


def span_of(identity: str) -> bytes:
    """The parent id that a record bears: the first eight bytes of the SHA-256 of its id.

    >>> span_of("flights.feature.departed[0]#80000")
    b'9c9c59c55c844c90'
    """
    digest = hashlib.sha256(identity.encode()).digest()[:SPAN_BYTES]
    assert any(digest), "W3C forbids eight zeros, which no id of this world gives"
    return digest.hex().encode()


def take_in_context(unit: Unit, item: Input) -> bool:
    """Have a unit take a record that is traced; what comes of it bears its context."""
    context, item.context = item.context, None
    assert context is not None, "the others go the plain way"
    unit.expired_to = len(unit.outputs)
    try:
        taken = unit.take(item)
    finally:
        item.context = context
    if taken:
        mark(unit, context, unit.expired_to)
    return taken


def mark(unit: Unit, context: Context, start: int) -> None:
    """Add the context to all outputs of a unit from the `start`th on."""
    prefix, partition = unit.plan.prefix, unit.partition
    for topic, _, _, headers in unit.outputs[start:]:
        if headers[0][0] == HEADER:
            name = f"{topic.removeprefix(prefix)}[{partition}]#{header_number(headers[0][1])}"
        else:  # a dead letter, which is known by what it is the letter of
            told = dict(headers)
            name = " ".join(told[f"error.{n}"].decode() for n in ("processor", "record", "attempt"))
        headers.extend(context.headers(name))
