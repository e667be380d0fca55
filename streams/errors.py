"""Every error of ours, as a tree.

StreamsError
├── TopologyError            a declaration is wrong; raised before the first poll
├── DataError                one record cannot be processed; it becomes a dead letter
│   ├── EmptyValue           a null where no tombstone is allowed
│   ├── WireFormat           not five bytes of Confluent header and an Avro body
│   ├── UnknownSchema        the registry does not know the schema id
│   ├── SubjectMismatch      the schema id belongs to another subject
│   ├── UnsafeSchema         the writer's schema is none that anything is decoded by
│   ├── TooLarge             more bytes or values than are taken
│   ├── Undecodable          the Avro body is invalid: an index, a number, a text, a block size
│   │   ├── Truncated        the value ends before its record does
│   │   └── TrailingBytes    the record ends before its value does
│   ├── OutOfBounds          a field breaks its declared bounds
│   ├── WrongPartition       the key belongs to another partition
│   ├── FutureEvent          the event time is further ahead of the append time than declared
│   ├── Duplicate            an event with the same unique field was seen before
│   ├── Refusal              a processor says that it cannot take this record
│   └── ProcessorFault       a processor raised something else
├── BrokerError              Kafka does not do what it was asked; retried, then paused
│   ├── Fenced               another worker has our transactional id or our partitions
│   ├── Evicted              the group has no place for us; only the producer can tell why
│   └── OutcomeUnknown       a commit or abort timed out; the outcome must be re-read
├── RegistryError            the schema registry cannot be reached; paused, never dead-lettered
│   ├── Asked                it has been asked, and may answer yet
│   └── Unregistered         it answers, and lacks a schema of ours; the worker ends: run doa apply
├── SnapshotError            a snapshot is not ours, not whole or not safe
│   └── VersionSkew          a snapshot of another python or river; rebuild it by replay
├── NotFound                 there is no record of an id, or no longer
├── NotWritten               a file cannot be written, or is not to be
├── Unwritable               a state that a processor returned is none that the changelog takes
├── Stuck                    records wait and nothing moves, without a reason; the worker exits
└── Rollback                 a record half changed a state; run the batch again without it
"""

from __future__ import annotations

from pathlib import Path


class StreamsError(Exception):
    """Root of all errors of ours."""


class TopologyError(StreamsError):
    """A declaration is wrong: one sentence that names the offender."""


class DataError(StreamsError):
    """One record cannot be processed. `code` is the error class in its dead letter; `quotes` says
    whether the text may hold something of the record, which is not for everybody's eyes.
    """

    code = "DATA"
    quotes = True


class EmptyValue(DataError):
    """The value is null, and the topic is not compacted."""

    code = "EMPTY"
    quotes = False


class WireFormat(DataError):
    """The value does not begin with the magic byte and a schema id."""

    code = "WIRE_FORMAT"


class UnknownSchema(DataError):
    """The registry answers that it has no schema of this id."""

    code = "UNKNOWN_SCHEMA"
    quotes = False


class SubjectMismatch(DataError):
    """The schema is registered, but not for this topic."""

    code = "SUBJECT_MISMATCH"
    quotes = False


class UnsafeSchema(DataError):
    """The writer's schema could crash a decoder, exhaust it, or is no Avro (`schemas.lint`)."""

    code = "UNSAFE_SCHEMA"
    quotes = False


class TooLarge(DataError):
    """The value has more bytes, or holds more values, than are taken."""

    code = "TOO_LARGE"


class Undecodable(DataError):
    """The body is not exactly one Avro record of its writer's schema."""

    code = "UNDECODABLE"


class Truncated(Undecodable):
    """The value ends before its record does."""

    code = "TRUNCATED"


class TrailingBytes(Undecodable):
    """The record ends before its value does."""

    code = "TRAILING_BYTES"


class OutOfBounds(DataError):
    """A field breaks a bound that its record declares."""

    code = "OUT_OF_BOUNDS"


class WrongPartition(DataError):
    """The key hashes (murmur2) to another partition than the one it was found in."""

    code = "WRONG_PARTITION"


class FutureEvent(DataError):
    """The event time lies further ahead of the append time than the stream allows."""

    code = "FUTURE_EVENT"


class Duplicate(DataError):
    """The unique field of this event was seen before."""

    code = "DUPLICATE"


class Refusal(DataError):
    """A processor says why it cannot take this record."""

    code = "REFUSED"


class ProcessorFault(DataError):
    """A processor raised an exception that is not a `Refusal`."""

    code = "PROCESSOR_FAULT"


class BrokerError(StreamsError):
    """Kafka does not do what it was asked."""


class Fenced(BrokerError):
    """A younger worker has taken over; this one must stop."""


class Evicted(BrokerError):
    """The group has no place for this member any more: a younger worker has it, or a broker that
    died has forgotten who had. Only the producer can tell.
    """


class OutcomeUnknown(BrokerError):
    """A commit or an abort timed out; only the broker knows what came of it."""


class RegistryError(StreamsError):
    """The schema registry does not answer."""


class Asked(RegistryError):
    """The schema registry has been asked, and may answer yet."""


class Unregistered(RegistryError):
    """The registry answers that a subject has no such schema: waiting would not help."""


OUTAGES = (BrokerError, RegistryError)  # of the world around us: waited for, never a dead letter
NO_FAULT_OF_A_RECORD = (MemoryError, *OUTAGES)


class SnapshotError(StreamsError):
    """A snapshot is not ours, not whole or not safe to load."""


class VersionSkew(SnapshotError):
    """A snapshot was made by another python or river."""


class NotFound(StreamsError):
    """No record has this id: there is none yet, or it is gone."""


class NotWritten(StreamsError):
    """A file cannot be written, or is not to be."""

    @classmethod
    def because(cls, path: Path, error: OSError) -> NotWritten:
        """What the system says of a file."""
        return cls(f"{path} cannot be written: {error.strerror or error}")


class Unwritable(StreamsError):
    """A state cannot be encoded, or is too large; it says which. The worker ends: only its
    processor can be mended.
    """


class Stuck(StreamsError):
    """Records wait, nothing moves, and no reason is known."""


class Rollback(StreamsError):
    """A record raised in a processor that changes its state in place.

    `processor` and `reference` name the pair that is refused, with `cause` as its error, when the
    batch runs again.
    """

    def __init__(self, processor: str, reference: bytes, cause: DataError) -> None:
        super().__init__(f"{processor}: {cause}")
        self.processor = processor
        self.reference = reference
        self.cause = cause
