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
from ops.export.write import CannotExport, check_target
from ops.whole import whole
from streams.columns.types import INSTANT

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


def test_question_that_an_example_holds_is_compared_to_the_last_item() -> None:
    nan, kind = float("nan"), pa.struct([("slime", pa.float64()), ("shell", SHELL)])
    asked: list[dict[str, Any]] = [
        {"slime": 0.5, "shell": {"turns": 1, "sizes": [1.5, nan]}},
        {"slime": nan, "shell": {"turns": None, "sizes": []}},
        {"slime": None, "shell": None},
        {"slime": 0.5, "shell": {"turns": 2, "sizes": None}},
    ]
    others: list[dict[str, Any]] = [
        {"slime": 0.5, "shell": {"turns": 1, "sizes": [1.5, 2.5]}},
        {"slime": None, "shell": {"turns": None, "sizes": []}},
        {"slime": None, "shell": {"turns": None, "sizes": None}},
        {"slime": 0.5, "shell": {"turns": 2, "sizes": []}},
    ]
    table = pa.Table.from_pylist(asked, schema=pa.schema(list(kind)))
    rows = [0, 1, 2, 3]
    served = [pa.array(records, kind) for records in (asked, others)]
    assert _differs(served[0], table, rows).tolist() == [False] * 4
    assert _differs(served[1], table, rows).tolist() == [True] * 4
    assert _differs(served[0], table, [0, 1, 2, 0]).tolist() == [False, False, False, True]
    assert _differs(served[0], table.slice(0, 0), rows).tolist() == [False] * 4


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
        with pytest.raises(CannotExport) as error:
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
    check_target(tmp_path / "there.csv", force=True)
    check_target(tmp_path / "new.parquet", force=False)
