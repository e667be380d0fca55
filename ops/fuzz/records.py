"""What is decoded in a fuzz campaign besides the event topics there are: one of everything."""

from __future__ import annotations

from schemas.record import Record, Stream, field


class Part(Record):
    """A part of a sample."""

    name: str = field("Name.")
    weight: float | None = field("Weight.", unit="kg", default=None)


class Sample(Record, stream=Stream("fuzz.event.sample", "key", "at_ms", "fuzz")):
    """One of every type, without bounds, so that most of what is Avro is taken."""

    key: str = field("Key.")
    at_ms: int = field("A number; no instant, which would have bounds.")
    share: float = field("A share.", unit="1", default=0.5)
    good: bool = field("A boolean.", default=True)
    raw: bytes = field("Bytes.", default=b"")
    maybe: str | None = field("A text, or none.", default=None)
    part: Part | None = field("A part, or none.", default=None)
    counts: list[int] = field("Numbers.", default=[])
    grid: list[list[float]] = field("Numbers in rows.", unit="1", default=[])
    parts: dict[str, Part] = field("Parts by name.", default={})
    holes: list[int | None] = field("Numbers with holes.", default=[])
