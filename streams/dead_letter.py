"""Dead letters: how a unit writes them, and how they are read.

The key and the value of a letter are the refused record's, byte for byte; its headers say who
refused which record, with which code, why, and how often it was tried. A unit hands its letters
out with its outputs, so that they are written in the transaction that passes the record over.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from schemas.internal import Redrive
from streams.errors import DataError
from streams.merge import Input, Stored
from streams.partition import partition_of
from streams.sensitivity import kinds_read, safe_text
from streams.trace_context import HEADERS

if TYPE_CHECKING:
    from schemas.record import Record
    from streams.tables import TableStore, Trigger
    from streams.tolerance import Watch
    from streams.topology import Flow
    from streams.unit import Unit

ERROR_TEXT_MAX = 1_000
COPIED_BYTES_MAX = 8_000_000  # of key and value: with its headers a letter fits into its topic
DIGITS_MAX = 19  # of a number in a header, which may be anybody's
ATTEMPTS_MAX = 3  # a letter of so many attempts is parked


@dataclass(frozen=True)
class Cause:
    """Which record was refused, and what has to be known to take it again."""

    origin: str  # its coordinate
    parent: bytes  # its packed reference, or those of an entry's parents
    attempts: int = 1
    appended_ms: int | None = None
    deadline_ms: int | None = None


@dataclass(frozen=True)
class Letter:
    """A dead letter as it was read."""

    id: str
    partition: int
    offset: int
    written_ms: int
    error: str
    text: str
    flow: str
    processor: str
    code_version: str
    schema_id: int | None
    cause: Cause
    key: bytes | None
    value: bytes | None
    trace: dict[str, bytes]  # the headers of its trace context, if it has one

    @property
    def topic(self) -> str:
        """Where the refused record lies, without namespace."""
        return self.cause.origin.split("[")[0]

    def target(self, partitions: int) -> int:
        """The partition in which it is taken again: its own, where the state of its flow is.

        A record that no processor saw may have lain in the wrong one: its key says which is right.
        """
        if self.processor or self.key is None:
            return self.partition
        return partition_of(self.key.decode("utf-8", "replace"), partitions)

    def redrive(self, verb: str, asked_ms: int) -> Redrive:
        """The record that has this letter taken again, or by nobody ever."""
        cause = self.cause
        return Redrive(
            verb=verb,
            letter=self.id,
            letter_ms=self.written_ms,
            processor=self.processor,
            origin=cause.origin,
            parent=cause.parent,
            attempts=cause.attempts,
            appended_ms=cause.appended_ms,
            deadline_ms=cause.deadline_ms,
            key=self.key if verb == "redrive" else None,
            value=self.value if verb == "redrive" else None,
            asked_ms=asked_ms,
        )


class DeadLetters:
    """Writes the dead letters of one unit."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._topic = unit.plan.topic(unit.plan.flow.dead_letter)
        self.count = 0
        self.excess: str | None = None  # why the flow should go on no further, if it should not
        self.watch: Watch | None = None  # given by whoever heeds `excess`

    def take_excess(self) -> str:
        """Why the flow should go on no further; said once."""
        excess, self.excess = self.excess, None
        return excess or ""

    def of_input(self, item: Input, error: DataError, processor: str = "") -> None:
        """Write the dead letter of an input record; of a redriven one, with one more attempt."""
        again = item.again
        if again is not None:
            asked: Redrive = again.asked
            cause = Cause(
                asked.origin,
                asked.parent,
                asked.attempts + 1,
                asked.appended_ms,
                asked.deadline_ms,
            )
            self._write(processor or asked.processor, asked.key, asked.value, error, cause)
            return
        unit = self._unit
        place = unit.plan.inputs[item.source].name
        origin = f"{place}[{unit.partition}]@{item.offset}"
        cause = Cause(origin, unit.trigger(item)[0], appended_ms=item.appended_ms)
        self._write(processor, item.key, item.value, error, cause)

    def of_record(self, processor: str, record: Record, trigger: Trigger, error: DataError) -> None:
        """Write the dead letter of a record that a processor of the unit could not take."""
        item = self._unit.item
        if item is not None and record is item.record:
            self.of_input(item, error, processor)
            return
        edge = self._unit.edges[type(record)]
        cause = Cause(f"{edge.name}[{self._unit.partition}]#{trigger[2]}", trigger[0])
        key = getattr(record, edge.key).encode()
        self._write(processor, key, edge.codec.encode(record), error, cause)

    def of_entry(
        self,
        processor: str,
        store: TableStore,
        key: str,
        parents: list[bytes],
        error: DataError,
        deadline_ms: int,
    ) -> None:
        """Write the dead letter of an entry that its fold could not close."""
        changelog = self._unit.plan.flow.changelog
        origin = f"{changelog}[{self._unit.partition}]/{store.prefix}{key}"
        cause = Cause(origin, b"".join(parents), deadline_ms=deadline_ms)
        value = store.codec.encode(store.entries[key].value)
        self._write(processor, key.encode(), value, error, cause)

    def _write(
        self,
        processor: str,
        key: bytes | None,
        value: bytes | None,
        error: DataError,
        cause: Cause,
    ) -> None:
        self.count += 1
        unit = self._unit
        if self.watch is not None and cause.attempts == 1:  # who redrives is looking anyway
            named = partial(_named, unit.plan.flow, error, cause)
            excess = self.watch.note(unit.records_in, processor, error, named)
            self.excess = self.excess or excess
        headers = _headers(processor, value, error, cause)
        size = len(key or b"") + len(value or b"")
        if size > COPIED_BYTES_MAX:  # as may be what was sent compressed
            key = value = None
            left = f"its {size:,} bytes are too many for a letter and left at {cause.origin}: "
            headers["error.message"] = (left + headers["error.message"])[:ERROR_TEXT_MAX]
        headers["error.flow"] = unit.plan.flow.name
        headers["error.code_version"] = unit.plan.flow.code_version
        packed = [
            (name, text.encode("utf-8", "backslashreplace")) for name, text in headers.items()
        ]
        packed.append(("error.parent", cause.parent))
        unit.outputs.append((self._topic, key, value, packed))
        unit.bytes_out += len(value or b"")


def _named(flow: Flow, error: DataError, cause: Cause) -> str:
    """A letter as its worker's state and log name it, which are for everybody: an operator who may
    see more asks doa dlq show.
    """
    kinds = list(kinds_read(flow))
    place, slash, key = cause.origin.partition("/")
    key = safe_text(key, kinds) if slash else ""
    return f"{place}{slash}{key} ({error.code}: {safe_text(error, kinds)})"


def _headers(processor: str, value: bytes | None, error: DataError, cause: Cause) -> dict[str, str]:
    """Error class and text, who refused which record, and how often it was tried."""
    headers = {
        "error.class": error.code,
        "error.message": str(error)[:ERROR_TEXT_MAX],
        "error.processor": processor,
        "error.record": cause.origin,
        "error.attempt": str(cause.attempts),
    }
    numbers = {
        "error.schema_id": schema_id_of(value),
        "error.appended_ms": cause.appended_ms,
        "error.deadline_ms": cause.deadline_ms,
    }
    return headers | {name: str(n) for name, n in numbers.items() if n is not None}


def schema_id_of(value: bytes | None) -> int | None:
    """The schema id that a value names; None when it is not in the wire format.

    >>> schema_id_of(bytes([0, 0, 0, 0, 7, 2, 65]))
    7
    """
    if value is None or len(value) < 5 or value[0] != 0:
        return None
    return int.from_bytes(value[1:5], "big")


def letter_of(name: str, partition: int, stored: Stored) -> Letter:
    """Read a dead letter; `name` is its topic without namespace."""
    text = {key: value.decode("utf-8", "replace") for key, value in stored.headers.items()}
    cause = Cause(
        text.get("error.record", ""),
        stored.headers.get("error.parent", b""),
        _number(text, "error.attempt") or 1,
        _number(text, "error.appended_ms"),
        _number(text, "error.deadline_ms"),
    )
    return Letter(
        id=f"{name}[{partition}]@{stored.offset}",
        partition=partition,
        offset=stored.offset,
        written_ms=stored.appended_ms,
        error=text.get("error.class", ""),
        text=text.get("error.message", ""),
        flow=text.get("error.flow", ""),
        processor=text.get("error.processor", ""),
        code_version=text.get("error.code_version", ""),
        schema_id=_number(text, "error.schema_id"),
        cause=cause,
        key=stored.key,
        value=stored.value,
        trace={name: stored.headers[name] for name in HEADERS if name in stored.headers},
    )


def _number(headers: dict[str, str], name: str) -> int | None:
    text = headers.get(name, "")
    return int(text) if text.isdecimal() and len(text) <= DIGITS_MAX else None
