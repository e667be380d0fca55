"""Records that say too little, or what Avro cannot hold, are named in a sentence each."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pydantic

from schemas.derive import check
from schemas.record import Record, Stream, field
from schemas.rules import classes_in, underivable, undocumented, unkeyed

STREAM = Stream("harbour.event.tide", "harbour", "measured_ms", "harbours")


class Bare(Record):
    depth: float = field("Depth.")
    name: str = pydantic.Field()


class Holder(Record, stream=STREAM):
    """Holds another."""

    harbour: str = field("Where.")
    measured_ms: int = field("When.", unit="ms")
    bare: list[Bare] = field("Others.")


class Spare(Record):
    """Of a name that another record has."""

    inner: str = field("Something.")


def test_missing_docs_and_units_are_found_in_nested_records_too() -> None:
    assert undocumented(Holder) == [
        "Bare has no docstring",
        "Bare.depth is measured: it needs a unit or bounds",
        "Bare.name has no doc",
    ]


def test_unit_one_and_bounds_are_enough_for_a_number() -> None:
    class Ratio(Record):
        """Numbers without a dimension."""

        ratio: float = field("Of two lengths.", unit="1")
        share: float | None = field("Of a whole.", ge=0, le=1, default=None)

    assert undocumented(Ratio) == []


def test_key_and_event_time_must_be_fields_of_their_types() -> None:
    class Wrong(Record, stream=Stream("harbour.event.tide", "harbour", "at", "harbours")):
        """Has neither."""

        harbour: int = field("Where.")
        at: int = field("When.", unit="ms")

    assert unkeyed(Holder) == []
    assert unkeyed(Wrong) == [
        "Wrong: the key 'harbour' is no field of type str",
        "Wrong: the event time 'at' is no int field with unit ms whose name ends in _ms",
    ]


def test_types_that_avro_cannot_hold_are_named() -> None:
    class Odd(Record):
        """Odd types."""

        when: datetime = field("When.")
        anything: Any = field("What.")
        pair: tuple[int, int] = field("Two.")
        either: int | str = field("One or the other.")
        by_number: dict[int, str] = field("By number.")
        fine: dict[str, list[bytes | None]] | None = field("Fine.", default=None)

    found = [problem.split(";")[0] for problem in underivable(Odd)]
    assert found == [
        "Odd.when holds datetime",
        "Odd.anything holds Any",
        "Odd.pair holds tuple",
        "Odd.either holds int | str",
        "Odd.by_number holds a dict whose keys are not str",
    ]


def test_two_records_of_one_name_and_a_record_in_itself_are_refused(tmp_path: Path) -> None:
    other = type("Spare", (Record,), {"__doc__": "The other.", "__module__": "elsewhere"})

    class Both(Record, stream=STREAM):
        """Holds two records of one name."""

        harbour: str = field("Where.")
        measured_ms: int = field("When.", unit="ms")
        one: Spare = field("One.")
        two: other = field("Two.")  # type: ignore[valid-type]

    problem = "Both holds two records of the name Spare; rename one"
    assert underivable(Both) == [problem]
    assert check([Both], tmp_path) == [problem]
    assert underivable(Tree) == ["Tree holds itself; a record has a bounded depth"]


class Tree(Record):
    """A tree."""

    parts: list[Tree] = field("Trees.")


def test_all_records_of_a_record_are_found() -> None:
    assert classes_in(Holder) == {"Holder": Holder, "Bare": Bare}
