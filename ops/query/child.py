"""The process that runs one query: a fresh interpreter with an empty environment, which reads a
query and tables of Arrow from its standard input and answers in lines of JSON.

Before it looks at the query it shuts itself in: limits of the operating system, DuckDB without
files, network and extensions, its settings locked. What a query may be is decided on the tree that
DuckDB's own parser makes of it: one SELECT, over tables that it was given, by functions that read
nothing. It imports nothing of ours, so that it can run without our path.

Lines in: {"query", "memory_mb", "threads", "rows_max"}; for each table {"table"} and a stream of
Arrow; {"run": seconds of CPU}. Lines out: {"tables", "names", "parents"}; {"columns", "rows",
"more"}; or, instead of either, {"error"}.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa

ADDRESS_SPACE_EXTRA, OF_A_THREAD = 2 << 30, 128 << 20  # what is reserved and not used
FILES_MAX = 64
BATCH_ROWS = 1_000
RESULT_BYTES_MAX = 64_000_000
QUERIES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
SOURCES = {  # what may stand after FROM
    "BASE_TABLE", "TABLE_FUNCTION", "SHOW_REF", "JOIN", "SUBQUERY", "EMPTY", "EXPRESSION_LIST",
}  # fmt: skip
TABLE_FUNCTIONS = {"unnest", "range", "generate_series", "json_each", "json_tree"}
UNTOLD = {  # Arrow has no such types: it would say something else
    "uhugeint", "bignum", "bit", "variant", "time with time zone", "union",
}  # fmt: skip
NESTED = {"struct", "tuple", "list", "array", "map"}
FORBIDDEN = {"current_setting", "getenv", "getvariable", "write_log", "sleep_ms"}


class Refused(Exception):
    """One sentence that says why a query is not run."""


def main(source: BinaryIO, target: BinaryIO) -> None:
    """Serve one query."""
    try:
        wish = json.loads(source.readline())
        _shut_in((wish["memory_mb"] << 20) + ADDRESS_SPACE_EXTRA + wish["threads"] * OF_A_THREAD)
        connection = _connect(wish)
        _tell(target, understood(connection, wish["query"]))
        while "table" in (told := json.loads(source.readline())):
            _load(connection, told["table"], source)
        _end_after(told["run"])
        _tell(target, answered(connection, wish["query"], wish["rows_max"]))
    except Refused as reason:
        _tell(target, {"error": str(reason)})
    except (duckdb.Error, pa.ArrowException) as error:
        _tell(target, {"error": sentence(error)})
    except MemoryError:
        _tell(target, {"error": "the query takes more memory than it has"})
    except RecursionError:
        _tell(target, {"error": "the query is nested too deeply; ask in several steps (WITH)"})
    except Exception as error:  # a process that ends without a word helps nobody
        said = f"{type(error).__name__}: {error}"
        _tell(target, {"error": f"the query cannot be answered ({said}); ask it otherwise"})


def understood(connection: Any, query: str) -> dict[str, Any]:
    """What a query reads, before it is run; Refused if it does anything but that."""
    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise Refused(f"one SELECT was expected; these are {len(statements)} statements")
    if statements[0].named_parameters:
        raise Refused("a parameter has no value here; write the value itself")
    if statements[0].type != duckdb.StatementType.SELECT:
        name = str(statements[0].type).rpartition(".")[2]
        raise Refused(f"only SELECT is run; this is {name}")
    cursor = connection.execute("select json_serialize_sql(?)", [query])
    [text] = [one for (one,) in cursor.fetchall()]
    tree = json.loads(text)
    if tree["error"]:
        raise Refused(f"only a plain SELECT is run: {tree['error_message']}")
    tables, names = set[str](), set[str]()
    for node in _nodes(tree):
        _look_at(node, tables)
        names |= {one["key"] for one in (node.get("cte_map") or {}).get("map", ())}
        names |= {node["cte_name"]} if "cte_name" in node else set()
    return {
        "tables": sorted(tables),
        "names": sorted(names),
        "parents": "_parents" in query.casefold(),
    }


def answered(connection: Any, query: str, rows_max: int) -> dict[str, Any]:
    """The first rows of a result, and how many more there are."""
    relation = connection.sql(query)
    for name, kind in zip(relation.columns, relation.types, strict=True):
        if found := _foreign(kind):
            raise _untold(name, f"Arrow has no {found}")
    reader = relation.to_arrow_reader(BATCH_ROWS)
    rows: list[list[Any]] = []
    count = size = 0
    for batch in reader:
        count += batch.num_rows
        kept = batch.slice(0, max(rows_max - len(rows), 0))
        if kept.num_rows:
            size += kept.nbytes
            if size > RESULT_BYTES_MAX:
                raise Refused(f"the result has more than {RESULT_BYTES_MAX:,} bytes; ask for less")
            columns = [_told(*one) for one in zip(relation.columns, kept.columns, strict=True)]
            rows += [list(cells) for cells in zip(*columns, strict=True)]
    columns_told = [
        {"name": name, "type": str(kind)}
        for name, kind in zip(relation.columns, relation.types, strict=True)
    ]
    return {"columns": columns_told, "rows": rows, "more": count - len(rows)}


def _foreign(kind: Any) -> str | None:
    """What Arrow has not of a type; its text does not say, as it holds names and symbols."""
    if kind.id in UNTOLD:
        return str(kind.id).upper()
    parts = kind.children if kind.id in NESTED else ()
    inner = (_foreign(part) for _, part in parts if isinstance(part, type(kind)))
    return next(filter(None, inner), None)


def _told(name: str, column: pa.Array) -> list[Any]:
    try:
        return [plain(value, column.type) for value in column.to_pylist()]
    except (OverflowError, ValueError, TypeError, AttributeError) as error:
        raise _untold(name, str(error)) from error  # as dates before the year 1 or after 9999


def _untold(name: str, reason: str) -> Refused:
    return Refused(
        f'column "{name}" holds what cannot be told as it is ({reason}); '
        "make it a text: cast(… as varchar)"
    )


def plain(value: Any, kind: pa.DataType) -> Any:
    """A value as JSON has it: instants and durations in ISO 8601, bytes in hexadecimal."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, pa.MonthDayNano):
        return _duration(*value)
    if pa.types.is_struct(kind):
        return {f.name: plain(value[f.name], f.type) for f in kind}
    if pa.types.is_map(kind):
        return {str(key): plain(inner, kind.item_type) for key, inner in value}
    if pa.types.is_nested(kind):
        return [plain(inner, kind.value_type) for inner in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat().replace("+00:00", "Z")
    return value.hex() if isinstance(value, bytes) else str(value)


def _duration(months: int, days: int, nanoseconds: int) -> str:
    """Months and days stay apart: they differ in length."""
    dates = f"{months}M" * bool(months) + f"{days}D" * bool(days)
    seconds = f"T{Decimal(nanoseconds) / 10**9:f}S"
    return f"P{dates}{seconds}" if nanoseconds or not dates else f"P{dates}"


def sentence(error: Exception) -> str:
    """What DuckDB says is wrong, without its advice and its picture of the place."""
    lines = [line.strip() for line in str(error).split("\n\n", maxsplit=1)[0].splitlines()]
    return "; ".join(line for line in lines if line)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _look_at(node: dict[str, Any], tables: set[str]) -> None:
    """Note the table that a node names; Refused, if it is more than reading."""
    kind = node.get("type")
    if not isinstance(kind, str):
        return
    if kind.endswith("_NODE"):
        if kind not in QUERIES:
            raise Refused(f"only SELECT is run; this holds {kind.split('_')[0]}")
    elif "sample" in node and kind not in SOURCES:
        raise Refused(f"{kind} may not stand after FROM")
    elif kind == "BASE_TABLE":
        path = (node.get("qualified_name") or {}).get("path") or [node["table_name"]]
        if len(path) > 1:
            raise Refused(f'a stream is named in double quotes: "{".".join(path)}"')
        tables.add(path[0])
    elif kind == "TABLE_FUNCTION":
        name = node["function"].get("function_name", "")
        if name not in TABLE_FUNCTIONS:
            raise Refused(f"{name}() may not stand after FROM: a query reads streams only")
    elif kind == "SHOW_REF" and not node.get("query"):
        raise Refused('only streams are described: describe "flights.event.weather"')
    elif kind == "FUNCTION" and node.get("function_name") in FORBIDDEN:
        raise Refused(f"{node['function_name']}() is not there: a query reads streams only")


def _shut_in(address_space: int) -> None:
    """Have the operating system end what goes too far, where it can. No file can be written."""
    pa.set_memory_pool(pa.system_memory_pool())  # the other one reserves a gigabyte
    try:
        import resource
    except ImportError:
        return  # no Unix
    limits = {
        "RLIMIT_AS": address_space,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": FILES_MAX,
    }
    for name, limit in limits.items():
        try:
            resource.setrlimit(getattr(resource, name), (limit, limit))
        except (AttributeError, ValueError, OSError):
            continue  # this system has no such limit, or a lower one


def _end_after(cpu_seconds: int) -> None:
    """Have it ended after so much more work, should nobody be there to end it."""
    try:
        import resource

        spent = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(spent.ru_utime + spent.ru_stime) + cpu_seconds
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    except (ImportError, ValueError, OSError):
        return


def _connect(wish: dict[str, Any]) -> Any:
    connection = duckdb.connect(
        ":memory:",
        config={
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "allow_community_extensions": "false",
            "python_enable_replacements": "false",
            "temp_directory": "",
            "max_temp_directory_size": "0KB",
            "memory_limit": f"{wish['memory_mb']}MB",
            "threads": str(wish["threads"]),
        },
    )
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set lock_configuration = true")
    return connection


def _load(connection: Any, name: str, source: BinaryIO) -> None:
    quoted = name.replace('"', '""')
    with pa.ipc.open_stream(source) as reader:
        connection.register("incoming", reader)
        connection.execute(f'create table "{quoted}" as select * from incoming').fetchall()
        connection.unregister("incoming")


def _tell(target: BinaryIO, document: dict[str, Any]) -> None:
    target.write(json.dumps(document).encode() + b"\n")
    target.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
