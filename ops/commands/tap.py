"""doa tap: read any stream, now."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

import click

from ops.complete import topics
from ops.connect import connect
from ops.output import OUTPUT, plain, say
from ops.sensitive import SENSITIVE, may_see
from streams.expression import Expression, all_hold, parse
from streams.masking import masks_of
from streams.outline import outline
from streams.scope import scope_of
from streams.settings import Settings
from streams.shown import Shown
from streams.tap import tap
from streams.topology import discover

COLUMNS_SHOWN = 8
CELL_MAX = 60


@click.command("tap")
@click.argument("topic", shell_complete=topics)
@click.option(
    "--from",
    "start",
    default="end",
    help="beginning, end, -N (the last N), @TIME, or the id of a record. [end]",
)
@click.option("-n", "--limit", type=click.IntRange(1), help="Stop after so many records.")
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="EXPRESSION",
    help="Only records for which this holds, in CEL; all must, if several.",
)
@click.option("--columns", help="Fields to show, separated by commas.")
@click.option(
    "--follow/--no-follow",
    default=None,
    help="Wait for new records at the end. [only with --from end]",
)
@SENSITIVE
@OUTPUT
@click.pass_obj
def tap_command(
    packages: tuple[str, ...],
    topic: str,
    start: str,
    limit: int | None,
    conditions: tuple[str, ...],
    columns: str | None,
    follow: bool | None,
    sensitive: bool,
    output: str,
) -> None:
    """Show the records of TOPIC, decoded: id, key and fields. With `-o json` a JSON document per
    line.

    Example: doa tap flights.prediction.departed --from beginning -n 5 --where 'probability > 0.9'
    """
    topology, prefix = discover(packages), Settings().prefix
    name = topic.removeprefix(prefix)
    masks = masks_of(outline(topology), may_see(Settings(), sensitive=sensitive))
    scope = scope_of(name, topology.records.get(name), masks)
    expressions = [parse(text, scope) for text in conditions]
    connection = connect()
    view = connection.view(topology, sensitive=sensitive)
    shown = columns.split(",") if columns else None
    counts = Counter[str]()
    records = _matching(
        tap(
            connection.cluster,
            view,
            topic,
            start=start,
            follow=start == "end" if follow is None else follow,
        ),
        expressions,
        counts,
    )
    header: list[str] | None = None
    for record in islice(records, limit):
        if output == "json":
            click.echo(json.dumps(_document(record, shown), default=_hex))
        else:
            fields = shown or list(record.value or {})[:COLUMNS_SHOWN]
            if fields != header and record.error is None:
                header = fields
                click.echo("\t".join(["id", "key", *fields]))
            click.echo(_line(record, fields))
        sys.stdout.flush()
    if counts["failed"]:
        say(f"{counts['failed']:,} records are left out: the filter cannot be told of them")


def _matching(
    records: Iterable[Shown], expressions: list[Expression], counts: Counter[str]
) -> Iterator[Shown]:
    for record in records:
        holds = all_hold(expressions, record)
        counts["failed"] += holds is None
        if holds:
            yield record


def _document(record: Shown, shown: list[str] | None) -> dict[str, Any]:
    document = asdict(record)
    if shown is not None and record.value is not None:
        document["value"] = {name: record.value.get(name) for name in shown}
    return document


def _line(record: Shown, fields: list[str]) -> str:
    if record.error is not None:
        note = record.headers.get("error.message")
        text = (
            [f"0x{record.hex}", f"({record.error})"] if note is None else [note, f"0x{record.hex}"]
        )
    elif record.value is None:
        text = ["(tombstone)"]
    else:
        text = [plain(record.value.get(f))[:CELL_MAX] for f in fields]
    return "\t".join([record.id, record.key or "-", *text])


def _hex(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
