"""What files hold, by their bytes; and which are not written."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ops.export.formats import FORMATS
from ops.export.point_in_time import _differs
from ops.export.write import check_target
from ops.whole import whole
from schemas.record import Record, field
from streams.columns.types import INSTANT
from streams.errors import NotWritten

SHELL = pa.struct([("turns", pa.int64()), ("sizes", pa.list_(pa.float64()))])
COUNTS = pa.map_(pa.string(), pa.int64())
SCHEMA = pa.schema(
    [
        ("_id", pa.string()),
        ("seen_ms", INSTANT),
        ("wet", pa.bool_()),
        ("photo", pa.binary()),
        ("slime", pa.float64()),
        ("shell", SHELL),
        ("counts", COUNTS),
    ]
)
SNAILS: list[dict[str, Any]] = [
    {
        "_id": 'a "b", c',
        "seen_ms": datetime(2013, 1, 31, 8, 0, 0, 5_000, UTC),
        "wet": True,
        "photo": b"\xff\x00",
        "slime": 0.1,
        "shell": {"turns": 3, "sizes": [1.5, float("nan")]},
        "counts": [("é", 1)],
    },
    dict.fromkeys(SCHEMA.names),
]


def written(suffix: str, *batches: pa.RecordBatch) -> bytes:
    file = io.BytesIO()
    with FORMATS[suffix](file, SCHEMA) as write:
        for batch in batches:
            write(batch)
    return file.getvalue()


BATCH = pa.RecordBatch.from_pylist(SNAILS, schema=SCHEMA)


def test_csv_has_a_column_for_each_field_of_a_record_within() -> None:
    assert written(".csv", BATCH).decode() == (
        "_id,seen_ms,wet,photo,slime,shell.turns,shell.sizes,counts\n"
        '"a ""b"", c",2013-01-31T08:00:00.005Z,true,ff00,0.1,3,'
        '"[1.5, ""nan""]","{""\\u00e9"": 1}"\n'
        ",,,,,,,\n"
    )
    assert written(".csv") == b"_id,seen_ms,wet,photo,slime,shell.turns,shell.sizes,counts\n"


def test_json_lines_hold_a_document_for_each_record() -> None:
    assert written(".jsonl", BATCH).decode() == (
        '{"_id": "a \\"b\\", c", "seen_ms": "2013-01-31T08:00:00.005Z", "wet": true, '
        '"photo": "ff00", "slime": 0.1, "shell": {"turns": 3, "sizes": [1.5, "nan"]}, '
        '"counts": {"é": 1}}\n'
        '{"_id": null, "seen_ms": null, "wet": null, "photo": null, "slime": null, '
        '"shell": null, "counts": null}\n'
    )


def test_parquet_keeps_types_and_is_the_same_again() -> None:
    first = written(".parquet", *[BATCH] * 9)
    table = pq.read_table(io.BytesIO(first))
    assert table.schema.equals(SCHEMA)
    assert repr(table.to_pylist()) == repr(BATCH.to_pylist() * 9)
    assert pq.read_metadata(io.BytesIO(first)).num_row_groups == 2
    assert written(".parquet", *[BATCH] * 9) == first


class Shell(Record):
    """What a snail carries."""

    turns: int | None = field("How often it winds.")
    sizes: list[float] | None = field("Of each turn.")


class Snail(Record):
    """A snail, as a model is asked about it."""

    slime: float | None = field("Length of its trail.")
    shell: Shell | None = field("Its shell.")
    spots: int = field("How many.", default=7)
    height: float | None = field("Where it sits.", default=0.0)


KIND = pa.struct(
    [("slime", pa.float64()), ("shell", SHELL), ("spots", pa.int64()), ("height", pa.float64())]
)
NAN = float("nan")


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ((0.5, {"turns": 1, "sizes": [1.5, NAN]}, 1), (0.5, {"turns": 1, "sizes": [1.5, 2.5]}, 1)),
        ((NAN, {"turns": None, "sizes": []}, 1), (None, {"turns": None, "sizes": []}, 1)),
        ((None, None, 1), (None, {"turns": None, "sizes": None}, 1)),
        ((0.5, {"turns": 2, "sizes": None}, 1), (0.5, {"turns": 2, "sizes": []}, 1)),
        ((0.5, None, 1), (0.5, None, 2)),
        ((0.5, None, 1), (0.5, None, None)),
    ],
)
def test_question_that_an_example_holds_is_compared_to_its_last_item(
    asked: Any, other: Any
) -> None:
    def differs(served: Any, asked: Any) -> list[bool]:
        names = [name for name in Snail.model_fields if name != "height"]
        [one, question] = [dict(zip(names, v, strict=True)) for v in (served, asked)]
        table = pa.Table.from_pylist([question], schema=pa.schema(list(KIND)))
        found: list[bool] = _differs(pa.array([one], KIND), table, [0], Snail).tolist()
        return found

    assert differs(asked, asked) == [False]
    assert differs(other, asked) == differs(asked, other) == [True]


@pytest.mark.parametrize(
    ("served", "asked", "differs"),
    [
        (None, None, False),
        (None, 0.0, False),  # written before there was such a field
        (None, 0.5, True),
        (0.0, None, True),
        (0.5, 0.5, False),
    ],
)
def test_null_is_a_value_of_a_field_that_has_another_default(
    served: float | None, asked: float | None, differs: bool
) -> None:
    table = pa.Table.from_pylist([{"height": asked}], schema=pa.schema(list(KIND)))
    held = pa.array([{"height": served}], KIND)
    assert _differs(held, table, [0], Snail).tolist() == [differs]


def test_question_within_an_example_of_a_former_schema_has_the_defaults_of_today() -> None:
    today = {"slime": 0.5, "spots": 7, "height": 0.0}
    table = pa.Table.from_pylist([today], schema=pa.schema(list(KIND)))
    served = pa.array([{"slime": 0.5}], KIND)
    assert _differs(served, table, [0], Snail).tolist() == [False]
    assert _differs(served, table.slice(0, 0), [0], Snail).tolist() == [False]


def test_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.csv", "old")]
    with whole(path) as part:
        part.write_text("new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.csv", "new")]


def test_what_is_not_to_be_written_is_told_before_anything_is_read(tmp_path: Path) -> None:
    def refusal(name: str) -> str:
        with pytest.raises(NotWritten) as error:
            check_target(tmp_path / name, force=False)
        return str(error.value)

    (tmp_path / "there.csv").touch()
    (tmp_path / "folder.csv").mkdir()
    assert refusal("a.xlsx") == (
        "a.xlsx does not say how to write it; end its name in .parquet, .csv, .jsonl"
    )
    assert refusal("no/a.csv").startswith("there is no folder ")
    assert refusal("folder.csv").endswith("folder.csv is a folder; name a file in it")
    assert refusal("there.csv").endswith("there.csv is there already; --force writes it anew")
    for long in ("n" * 300 + ".csv", "n" * 250 + ".csv", "n" * 300 + "/a.csv"):
        assert refusal(long).endswith(" cannot be written: File name too long")
    check_target(tmp_path / "there.csv", force=True)
    check_target(tmp_path / "new.parquet", force=False)
