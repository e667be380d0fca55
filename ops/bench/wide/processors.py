"""The hop, and transforms that read and write streams of their own, in which nothing happens."""

from __future__ import annotations

from typing import Any

from ops.bench.hop.processors import hop
from ops.bench.hop.records import OWNER
from ops.bench.wide import STREAMS
from schemas.record import Record, Stream, field
from streams.processor import Processor, transform

__all__ = ["hop", "silent"]


def _stream(stage: str, number: int) -> Any:
    """A class with a stream of its own."""

    class Note(Record, stream=Stream(f"wide.{stage}.note_{number:03d}", "sensor", "at_ms", OWNER)):
        """What never happens."""

        sensor: str = field("Whose it is.")
        at_ms: int = field("When it was made.", unit="ms", ge=0)

    return Note


def _silent(number: int) -> Processor:
    event, feature = _stream("event", number), _stream("feature", number)

    def copy(note: Any) -> list[Record]:
        """Copy a note."""
        return [feature(sensor=note.sensor, at_ms=note.at_ms)]

    copy.__name__ = f"copy_{number:03d}"
    return transform(reads=event, writes=feature)(copy)


silent = [_silent(number) for number in range(STREAMS // 2 - 1)]
globals().update({one.name: one for one in silent})  # where processors are looked for
