"""Records of a tap, printed: as a table for people, as a JSON document each, or as CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import click

from ops.output import in_json, plain
from streams.masking import Hidden
from streams.scope import Getter, NothingThere, Scope
from streams.shown import Shown

COLUMNS_SHOWN = 8
CELL_MAX = 60
ALWAYS_FIRST, CSV_LAST = ("id", "key"), ("error", "hex")
NOTHING = object()

Print = Callable[[Shown], None]


class _Table:
    """Lines of cells with a tab between; the head again where the fields are others."""

    def __init__(self, columns: dict[str, Getter] | None) -> None:
        self._columns = columns
        self._head: list[str] | None = None

    def print(self, record: Shown) -> None:
        """Print one record: its cells, or why it has none."""
        if self._columns is None:
            value = record.value or {}
            names = list(value)[:COLUMNS_SHOWN]
            cells = [value[name] for name in names]
        else:
            names = list(self._columns)
            cells = _cells(record, self._columns.values())
        told = [plain(None if cell is NOTHING else cell)[:CELL_MAX] for cell in cells]
        if record.value is None and (not cells or NOTHING in cells):
            told = _without_fields(record)
        elif names != self._head:
            self._head = names
            click.echo("\t".join([*ALWAYS_FIRST, *names]))
        click.echo("\t".join([record.id, plain(record.key), *told]))


def printer(output: str, scope: Scope, columns: Sequence[str] | None) -> Print:
    """What prints a record; UnknownName for a column that there is not."""
    getters = None if columns is None else {name: scope.column(name) for name in columns}
    if output == "json":
        return lambda record: _print_json(record, getters, scope)
    if output == "csv":
        if getters is None and scope.open:
            raise click.UsageError(
                f"no loaded package declares {scope.topic}: name the columns of its CSV, for "
                "instance: --columns key,value.NAME"
            )
        return _csv(getters or {name: scope.column(name) for name in scope.fields})
    return _Table(getters).print


def _print_json(record: Shown, getters: dict[str, Getter] | None, scope: Scope) -> None:
    document = asdict(record)
    if getters is not None and record.value is not None:
        fields = {n: getter for n, getter in getters.items() if scope.of_value(n)}
        document["value"] = {name: getter(record) for name, getter in fields.items()}
    click.echo(json.dumps(in_json(document), default=str))


def _csv(getters: dict[str, Getter]) -> Print:
    """One head, then the same columns of every record; what is wrong with one stands in the last
    two.
    """
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*ALWAYS_FIRST, *getters, *CSV_LAST])
    sys.stdout.flush()

    def write(record: Shown) -> None:
        cells = [_csv_cell(cell) for cell in _cells(record, getters.values())]
        last = [_csv_cell(record.error), _csv_cell(record.hex)]
        writer.writerow([record.id, _csv_cell(record.key), *cells, *last])

    return write


def _cells(record: Shown, getters: Any) -> list[Any]:
    return [_cell(record, getter) for getter in getters]


def _cell(record: Shown, getter: Getter) -> Any:
    try:
        return getter(record)
    except NothingThere:
        return NOTHING


def _csv_cell(cell: Any) -> str:
    if cell is None or cell is NOTHING:
        return ""
    told = in_json(cell)
    return told if isinstance(told, str) else json.dumps(told, default=str)


def _without_fields(record: Shown) -> list[str]:
    """What is told of a tombstone, and of a record that cannot be decoded."""
    if record.error is None:
        return ["(tombstone)"]
    data = record.hex if isinstance(record.hex, Hidden) else f"0x{record.hex}"
    note = record.headers.get("error.message")
    told = [data, f"({record.error})"] if note is None else [note, data]
    return [plain(one) for one in told]
