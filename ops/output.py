"""What commands print: tables for people, one JSON document on stdout for programs; everything
else on stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

Command = Callable[..., Any]


def _output(*ways: str) -> Callable[[Command], Command]:
    return click.option(
        "-o",
        "--output",
        type=click.Choice(ways),
        default=ways[0],
        help="How to print the result.",
    )


OUTPUT, OUTPUT_OR_CSV = _output("table", "json"), _output("table", "json", "csv")


def console() -> Console:
    """Where tables go. Pipes get full lines instead of the width of a terminal."""
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def notes() -> Console:
    """Where progress and remarks go."""
    return Console(stderr=True, highlight=False)


def progress_bars() -> Progress:
    """Bars for long work, on a terminal only; they go when it is done."""
    return Progress(console=notes(), transient=True, disable=not notes().is_terminal)


def say(text: str) -> None:
    """A remark on stderr."""
    click.echo(text, err=True)


def print_json(value: Any) -> None:
    """The one JSON document of a command."""
    click.echo(json.dumps(in_json(value), indent=2, default=str))


def in_json(value: Any) -> Any:
    """A value in the words of JSON, which has none for bytes, nor for what is no number.

    >>> in_json({"payload": b"ab", "shares": (0.5, float("nan"))})
    {'payload': '6162', 'shares': [0.5, 'nan']}
    """
    if isinstance(value, dict):
        return {name: in_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [in_json(one) for one in value]
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None
) -> None:
    """A plain table; cells are text, never markup."""
    table = Table(title=title, box=None, pad_edge=False, header_style="bold", title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console().print(table)


def plain(cell: Any) -> str:
    """A cell as text: floats short, control characters shown."""
    if cell is None:
        return "-"
    text = f"{cell:.4g}" if isinstance(cell, float) else str(cell)
    visible = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return visible
