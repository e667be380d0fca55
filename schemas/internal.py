"""The records that the runtime keeps for itself, in the internal topics of a flow."""

from __future__ import annotations

from schemas.record import Record, field


class ClockTick(Record):
    """Moves the time of one partition, in `<flow>-clock`: the end of a replay, or of a silence."""

    at_ms: int = field("Event time that has been reached.", unit="ms", ge=0)


class UnitState(Record):
    """What a unit remembers besides its tables, in `<flow>-changelog` under the key `unit`."""

    time_ms: int = field("Event time that the unit has reached.", unit="ms")
    written: dict[str, int] = field("Records that the unit has written, by topic.")
    generations: dict[str, int] = field("Snapshots that were taken, by learner.", default={})


class SeenIds(Record):
    """Unique fields of the events of one hour, in `<flow>-changelog`."""

    ids: list[str] = field("The values that were seen.", sensitivity="personal")


class JournalEntry(Record):
    """The input that one transaction took, in order, in `<flow>-journal`."""

    code_version: str = field("Code that processed it.")
    inputs: list[str] = field("Topics that were read; their indices stand in `runs`.")
    starts: list[int] = field("Offset of the first record taken of each topic, -1 for none.")
    runs: list[int] = field(
        "Alternately an index into `inputs` and a count of records taken from it."
    )
    time_ms: int = field(
        "Event time that the unit had reached; -1 where an older version wrote the entry.",
        unit="ms",
        default=-1,
    )
    settings: dict[str, str] | None = field(
        "Settings that differ from their defaults, in the first entry of a worker that took the "
        "unit over; null in those that follow it.",
        default=None,
    )


class Redrive(Record):
    """What becomes of a dead letter, in `<flow>-redrive`: its flow takes it again, or nobody does.

    It holds all that the flow needs, so that a letter that is gone can still be taken again when
    the flow is replayed.
    """

    verb: str = field("What is to be done with the letter.", pattern="^(redrive|drop)$")
    letter: str = field("Id of the dead letter: topic[partition]@offset.")
    letter_ms: int = field("When the letter was written.", unit="ms")
    processor: str = field("Who refused the record; empty when no processor had seen it.")
    origin: str = field(
        "Coordinate of the record that was refused; that of an entry ends in its key.",
        sensitivity="personal",
    )
    parent: bytes = field("Its packed reference, or those of an entry's parents.")
    attempts: int = field("How often it was tried before.", ge=1)
    appended_ms: int | None = field("When it was appended to its topic.", unit="ms", default=None)
    deadline_ms: int | None = field("Of an entry: when it expired.", unit="ms", default=None)
    key: bytes | None = field("Key of the record.", sensitivity="personal", default=None)
    value: bytes | None = field(
        "Value of the record, byte for byte.", sensitivity="personal", default=None
    )
    asked_ms: int = field("When this was asked for.", unit="ms", ge=0)


class ControlCommand(Record):
    """What an operator asks of every worker of a flow, in `<flow>-control` under the key of the
    flow's name.
    """

    verb: str = field("What the workers shall do.", pattern="^(pause|resume|drain)$")
    reason: str = field("Why; a pause shows it until it ends.", max_length=400)
    at_ms: int = field("When it was asked for.", unit="ms", ge=0)
