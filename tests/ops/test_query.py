"""Queries that try to do more than read streams: each gets one sentence. The process that runs them
is the real one; none of them comes so far as to need a cluster.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Barrier
from typing import Any

import psutil
import pyarrow as pa
import pytest

from ops.connect import Connection
from ops.query import child
from ops.query.run import Asked, Limits, QueryError, run
from ops.query.snapshots import UNNAMED_MAX, BadSnapshot, Snapshot, _write, taken_up
from streams.broker import Cluster
from streams.errors import NotWritten, TopologyError
from streams.extent import Extent, document
from streams.outline import outline
from streams.registry import ConfluentRegistry
from streams.settings import Settings
from streams.topology import discover

TIDES = outline(discover(["ops.examples.tides"]))
QUICK = Limits(seconds=20, memory_mb=200)
TOPIC = "tides.event.reading"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """A cluster that nobody can reach."""
    settings = Settings(home=tmp_path)
    registry = ConfluentRegistry("http://127.0.0.1:9", settings)
    yield Connection(Cluster("127.0.0.1:9", settings), registry, settings)
    registry.close()


def refusal(connection: Connection, query: str, limits: Limits = QUICK) -> str:
    with pytest.raises(QueryError) as error:
        run(connection, TIDES, Asked(query), limits)
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("select * from read_csv('/etc/passwd')",
         "read_csv() may not stand after FROM: a query reads streams only"),
        ("select * from read_text('/etc/passwd')",
         "read_text() may not stand after FROM: a query reads streams only"),
        ("select * from glob('/*')",
         "glob() may not stand after FROM: a query reads streams only"),
        ("select (select count(*) from parquet_scan('a'))",
         "parquet_scan() may not stand after FROM: a query reads streams only"),
        ("with a as (select * from query('select 1')) select * from a",
         "query() may not stand after FROM: a query reads streams only"),
        ("select * from duckdb_settings()",
         "duckdb_settings() may not stand after FROM: a query reads streams only"),
        ("from duckdb_secrets()",
         "duckdb_secrets() may not stand after FROM: a query reads streams only"),
        ("select * from pragma_table_info('x')",
         "pragma_table_info() may not stand after FROM: a query reads streams only"),
        ("copy (select 1) to 'stolen.csv'", "only SELECT is run; this is COPY"),
        ("attach 'stolen.db'", "only SELECT is run; this is ATTACH"),
        ("install httpfs", "only SELECT is run; this is LOAD"),
        ("load httpfs", "only SELECT is run; this is LOAD"),
        ("set enable_external_access = true", "only SELECT is run; this is SET"),
        ("reset memory_limit", "only SELECT is run; this is SET"),
        ("pragma version", "only SELECT is run; this is PRAGMA"),
        ("create table a as select 1", "only SELECT is run; this is CREATE"),
        ("drop table a", "only SELECT is run; this is DROP"),
        ("call duckdb_settings()", "only SELECT is run; this is CALL"),
        ("explain analyze select 1", "only SELECT is run; this is EXPLAIN"),
        ("export database 'stolen'", "only SELECT is run; this is EXPORT"),
        ("with a as (insert into b values (1) returning 1) select * from a",
         "only SELECT is run; this holds INSERT"),
        ("show all tables", 'only streams are described: describe "flights.event.weather"'),
        ("select 1; select 2", "one SELECT was expected; these are 2 statements"),
        ("select 1; copy (select 1) to 'a.csv'", "one SELECT was expected; these are 2 statements"),
        ("", "one SELECT was expected; these are 0 statements"),
        ("select ?", "a parameter has no value here; write the value itself"),
        ("select current_setting('secret_directory')",
         "current_setting() is not there: a query reads streams only"),
        ("select getenv('HOME')", "getenv() is not there: a query reads streams only"),
        ("selec 1", 'Parser Error: syntax error at or near "selec"'),
        ("select * from tides.event.reading",
         'a stream is named in double quotes: "tides.event.reading"'),
        ("select * from information_schema.tables",
         'a stream is named in double quotes: "information_schema.tables"'),
        (f'with "{TOPIC}" as (select 1) select * from "{TOPIC}"',
         f'"{TOPIC}" is a stream; call what WITH defines otherwise'),
        (f'with "{TOPIC.title()}" as (select 1) select * from "{TOPIC}"',
         f'"{TOPIC.title()}" is a stream; call what WITH defines otherwise'),
        ("select timestamp '10000-01-01' late",
         'column "late" holds what cannot be told as it is (date value out of range); '
         "make it a text: cast(… as varchar)"),
        ("select [{'a': date '4713-01-01 (BC)'}] early",
         'column "early" holds what cannot be told as it is (date value out of range); '
         "make it a text: cast(… as varchar)"),
        ("select 340282366920938463463374607431768211455::uhugeint most",
         'column "most" holds what cannot be told as it is (Arrow has no UHUGEINT); '
         "make it a text: cast(… as varchar)"),
        ("select union_value(one := 1.5::double) either",
         'column "either" holds what cannot be told as it is (Arrow has no UNION); '
         "make it a text: cast(… as varchar)"),
        (f"select {'not ' * 900} true",
         "the query is nested too deeply; ask in several steps (WITH)"),
    ],
)  # fmt: skip
def test_query_that_does_more_than_read_streams_is_refused(
    connection: Connection, query: str, expected: str
) -> None:
    assert refusal(connection, query) == expected


@pytest.mark.parametrize(
    "query",
    [
        'select * from "/etc/passwd"',
        "select * from '/etc/passwd'",
        "select * from 'https://example.com/a.parquet'",
        "select * from duckdb_settings",
        "select * from sqlite_master",
        'select * from "tides.event.reeding"',
    ],
)
def test_only_declared_streams_are_tables(connection: Connection, query: str) -> None:
    with pytest.raises(TopologyError, match=r"there is no stream '.*'; perhaps: tides\."):
        run(connection, TIDES, Asked(query), QUICK)


def test_query_that_does_not_end_is_ended(connection: Connection) -> None:
    endless = [
        "select count(*) from range(1000000000) a, range(1000000) b where a.range % 7 = b.range",
        "with recursive r(n) as (select 1 union all select n % 9 from r) select count(*) from r",
    ]
    for query in endless:
        began = time.monotonic()
        assert refusal(connection, query, Limits(seconds=0.5, memory_mb=200)) == (
            "the query did not end within 0.5 s and was ended; "
            "ask for less, or give it more --seconds"
        )
        assert time.monotonic() - began < 15
    assert [p for p in psutil.Process().children() if str(child.__file__) in p.cmdline()] == []


@pytest.mark.parametrize(
    "query",
    [
        "select list(repeat('x', 1000000)) from range(1000)",
        "select count(distinct range || repeat('y', 100)) from range(20000000)",
        "select repeat('x', 2000000000)",
    ],
)
def test_query_that_takes_too_much_memory_is_ended(connection: Connection, query: str) -> None:
    assert refusal(connection, query) == (
        "the query and its streams take more than 200 MB; ask for less, or give it more --memory"
    )


def test_query_without_a_stream_is_answered(connection: Connection) -> None:
    query = "select range n, n * n sq, sum(n) over () s from range(5) order by n"
    answer = run(connection, TIDES, Asked(query), Limits(rows_max=2))
    assert answer.columns == [
        {"name": "n", "type": "BIGINT"},
        {"name": "sq", "type": "BIGINT"},
        {"name": "s", "type": "HUGEINT"},
    ]
    assert (answer.rows, answer.more) == ([[0, 0, 10], [1, 1, 10]], 3)
    folded = run(connection, TIDES, Asked("with Few as (select 1 n) from FEW select N"), QUICK)
    assert folded.rows == [[1]]
    lasting = "select interval '1 year 2 days -1.5 seconds', interval '3 hours', interval '1 month'"
    told = run(connection, TIDES, Asked(lasting), QUICK).rows
    assert told == [["P12M2DT-1.5S", "PT10800S", "P1M"]]
    late = run(connection, TIDES, Asked("select (timestamp '10000-01-01')::varchar"), QUICK)
    assert late.rows == [["10000-01-01 00:00:00"]]
    many = run(connection, TIDES, Asked("select 1/0 a, 'nan'::double, 'x'::blob, null"), QUICK)
    assert many.rows == [["inf", "nan", "78", None]]
    assert refusal(connection, "select nope") == (
        'Binder Error: Referenced column "nope" was not found because the FROM clause is missing'
    )


@pytest.mark.parametrize(
    ("query", "kind", "told"),
    [
        ("select {'BIT': 1} a", 'STRUCT("BIT" INTEGER)', {"BIT": 1}),
        ("select {'BIGNUM': 1, 'a\"UNION(': 2} a", 'STRUCT(BIGNUM INTEGER, "a""UNION(" INTEGER)',
         {"BIGNUM": 1, 'a"UNION(': 2}),
        ("select 'NO'::enum('BIT', 'NO') a", "ENUM('BIT', 'NO')", "NO"),
        ("select 1.5::decimal(5, 2) a", "DECIMAL(5,2)", 1.5),
    ],
)  # fmt: skip
def test_type_may_name_anything(connection: Connection, query: str, kind: str, told: Any) -> None:
    answer = run(connection, TIDES, Asked(query), QUICK)
    assert (answer.columns, answer.rows) == ([{"name": "a", "type": kind}], [[told]])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("['1'::bit]", "BIT"),
        ("{'a': map {1: '10:00:00+01'::timetz}}", "TIME WITH TIME ZONE"),
        ("[1::bignum]::bignum[1]", "BIGNUM"),
        ("[union_value(one := 1)]", "UNION"),
        ("row(1, '1'::bit)", "BIT"),
        ("[row(1::bignum)]", "BIGNUM"),
        ("1::variant", "VARIANT"),
    ],
)
def test_type_that_arrow_has_not_is_found_within_others(
    connection: Connection, value: str, kind: str
) -> None:
    assert f"(Arrow has no {kind})" in refusal(connection, f"select {value} a")


def test_tables_are_read_from_the_input_after_it_is_shut_in() -> None:
    source = io.BytesIO()
    wish = {"query": 'select a + 1 b from "t.x"', "memory_mb": 100, "threads": 1, "rows_max": 9}
    table = pa.table({"a": [1, 2]})
    source.write(json.dumps(wish).encode() + b"\n" + b'{"table": "t.x"}\n')
    with pa.ipc.new_stream(source, table.schema) as writer:
        writer.write_table(table)
    source.write(b'{"run": true}\n')
    source.seek(0)
    connection = child._connect(wish)
    asked: Any = json.loads(source.readline())
    assert child.understood(connection, asked["query"])["tables"] == ["t.x"]
    child._load(connection, json.loads(source.readline())["table"], source)
    assert json.loads(source.readline()) == {"run": True}
    assert child.answered(connection, asked["query"], 9)["rows"] == [[2], [3]]
    for query in ("set threads = 4", "set enable_external_access = true"):
        with pytest.raises(Exception, match=r"locked|external access|Cannot"):
            connection.execute(query)
    with pytest.raises(Exception, match="disabled by configuration"):
        connection.execute("select * from read_csv('/etc/passwd')")


def test_child_that_meets_what_nobody_thought_of_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(*_: object) -> None:
        raise LookupError("a thing")

    monkeypatch.setattr(child, "_shut_in", lambda _: None)
    monkeypatch.setattr(child, "understood", odd)
    wish = {"query": "select 1", "memory_mb": 100, "threads": 1, "rows_max": 9}
    target = io.BytesIO()
    child.main(io.BytesIO(json.dumps(wish).encode() + b"\n"), target)
    assert json.loads(target.getvalue()) == {
        "error": "the query cannot be answered (LookupError: a thing); ask it otherwise"
    }


def test_snapshot_is_kept_by_name_and_read_again(connection: Connection, tmp_path: Path) -> None:
    extent = Extent(TOPIC, "an id", {0: (3, 17), 1: (0, 0)})
    path = tmp_path / "snapshots" / "morning.json"
    assert _write(path, [document(extent)], named=True)
    assert not _write(path, [], named=True)
    assert taken_up(connection, [TOPIC], "morning", None) == Snapshot("morning", {TOPIC: extent})
    assert taken_up(connection, [TOPIC], str(path), None).extents == {TOPIC: extent}
    assert str(Snapshot("morning", {TOPIC: extent})) == (
        "snapshot morning: tides.event.reading[0]@3..17 [1]@0..0"
    )
    for asked, as_of, expected in (
        ("morning", "2013-01-01", "snapshot morning was taken already; ask without --as-of"),
        ("no/such.json", None, "there is no file no/such.json; a name of letters and digits makes"),
    ):
        with pytest.raises(BadSnapshot, match=expected):
            taken_up(connection, [TOPIC], asked, as_of)
    with pytest.raises(BadSnapshot, match=r"has no tides\.feature\.level, it has tides\.event\."):
        taken_up(connection, [TOPIC, "tides.feature.level"], "morning", None)


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "nonsense", "[1]", "[" * 100_000, "7",
        '{"streams": 5}', '{"streams": null}', '{"streams": [5]}', '{"streams": "abc"}',
        '{"streams": [{"topic": "a", "topic_id": "b", "partitions": 5}]}',
        '{"streams": [{"topic": "a", "topic_id": "b", "partitions": {"0": [1]}}]}',
        '{"streams": [{"topic": "a", "topic_id": "b", "partitions": {"0": [0, 1e999]}}]}',
        '{"streams": [{"topic": "a", "topic_id": "b", "partitions": {"0": [7, 5]}}]}',
        '{"streams": [{"topic": "a", "topic_id": "b", "partitions": {"-1": [0, 5]}}]}',
    ],
)  # fmt: skip
def test_snapshot_that_was_damaged_is_told(
    connection: Connection, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "snapshots" / "morning.json"
    path.parent.mkdir()
    path.write_text(text)
    for as_of in (None, "2013-01-01"):
        with pytest.raises(BadSnapshot) as error:
            taken_up(connection, [TOPIC], "morning", as_of)
        assert str(error.value) == (
            f"{path} holds no snapshot, or one that was damaged; take another name, or delete it"
        )


@pytest.mark.parametrize(
    ("asked", "expected"), [(".", "cannot be read: Is a dir"), ("a" * 5_000, "File name too long")]
)
def test_file_that_cannot_be_a_snapshot_is_told(
    connection: Connection, asked: str, expected: str
) -> None:
    with pytest.raises(BadSnapshot, match=expected):
        taken_up(connection, [TOPIC], asked, None)


def test_all_who_take_a_snapshot_of_a_name_at_once_get_the_first(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, counts = Barrier(4), count(1)

    def now(cluster: Cluster, topics: list[str], **_: Any) -> dict[str, Extent]:
        """The stream as it grows, to those who all found no such snapshot."""
        together.wait(10)
        return {topic: Extent(topic, "an id", {0: (0, next(counts))}) for topic in topics}

    monkeypatch.setattr("ops.query.snapshots.extents_now", now)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: taken_up(connection, [TOPIC], "noon", None), range(4)))
    assert len({str(snapshot) for snapshot in found}) == 1
    assert taken_up(connection, [TOPIC], "noon", None) == found[0]
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == ["noon.json"]


def test_snapshot_that_cannot_be_kept_is_told_and_taken_if_nobody_named_it(
    connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    extent = Extent(TOPIC, "an id", {0: (0, 7)})
    monkeypatch.setattr("ops.query.snapshots.extents_now", lambda *_, **__: {TOPIC: extent})
    folder = tmp_path / "snapshots"
    folder.write_text("is no folder")
    with pytest.raises(BadSnapshot, match=r"cannot be read: Not a directory"):
        taken_up(connection, [TOPIC], "noon", None)
    assert taken_up(connection, [TOPIC], None, None).extents == {TOPIC: extent}
    error = capsys.readouterr().err
    assert re.search(
        r"cannot be written: (Not a dir|File exists).*; so this snapshot is not kept$", error
    )
    folder.unlink()
    folder.symlink_to(tmp_path / "gone")
    with pytest.raises(NotWritten, match=r"cannot be written: File exists"):
        taken_up(connection, [TOPIC], "noon", None)
    assert capsys.readouterr().err == ""


def test_oldest_snapshots_that_nobody_named_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.query.snapshots.UNNAMED_MAX", 2)
    assert UNNAMED_MAX == 1_000
    for name in ("named", "at-000000000001", "at-000000000002", "at-000000000003"):
        _write(tmp_path / f"{name}.json", [], named=False)
        time.sleep(0.01)
    assert sorted(path.stem for path in tmp_path.iterdir()) == [
        "at-000000000002", "at-000000000003", "named",
    ]  # fmt: skip


def test_who_forgets_snapshots_does_not_mind_another_who_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.query.snapshots.UNNAMED_MAX", 1)
    for number in range(4):
        (tmp_path / f"at-00000000000{number}.json").symlink_to(tmp_path / "forgotten")
    _write(tmp_path / "at-00000000000a.json", [], named=False)
    assert [path.name for path in tmp_path.iterdir()] == ["at-00000000000a.json"]
