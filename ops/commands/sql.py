"""doa sql: a query over streams."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import Any

import click
from rich.text import Text

from ops.connect import connect, home_of
from ops.outlined import outlined
from ops.output import OUTPUT_OR_CSV, plain, print_json, print_table, progress_bars, say
from ops.query.run import Answer, Asked, Limits, run
from ops.query.snapshots import Snapshot
from ops.sensitive import SENSITIVE, may_see, told_hidden
from streams.extent import document

DEFAULT = Limits()
CELL_MAX = 60  # characters of a cell of a table; JSON and CSV hold all


@click.command("sql")
@click.argument("query")
@click.option(
    "--snapshot",
    metavar="NAME|FILE",
    help="Ask on this snapshot; one of a new name is taken now, and kept.",
)
@click.option("--as-of", metavar="TIME", help="Only what had been appended before.")
@SENSITIVE
@click.option("--skip-undecodable", is_flag=True, help="Leave out what cannot be decoded.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=DEFAULT.rows_max,
    help="Rows shown.",
    show_default=True,
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 3_600),
    default=DEFAULT.seconds,
    help="Time for the query once its streams are loaded.",
    show_default=True,
)
@click.option(
    "--memory",
    type=click.IntRange(50, 1_000_000),
    default=DEFAULT.memory_mb,
    help="MB for the query and its streams.",
    show_default=True,
)
@click.option("--threads", type=click.IntRange(1, 64), default=DEFAULT.threads, show_default=True)
@OUTPUT_OR_CSV
@click.pass_obj
def sql(
    packages: tuple[str, ...],
    query: str,
    snapshot: str | None,
    as_of: str | None,
    sensitive: bool,
    skip_undecodable: bool,
    limit: int,
    seconds: float,
    memory: int,
    threads: int,
    output: str,
) -> None:
    """Ask a SELECT of DuckDB over streams, each a table named in double quotes. It reads what was
    committed up to a snapshot that is taken first and told, so that the same can be asked again; in
    a process that reaches nothing else.

    Example: doa sql 'select origin, avg(minutes) from "flights.prediction.planned" group by 1'
    """
    connection = connect()
    known = outlined(packages, home_of(connection.settings))
    seen = may_see(connection.settings, sensitive=sensitive)
    asked = Asked(query, snapshot, as_of, seen, skip_undecodable)
    with progress_bars() as bars:
        bar = bars.add_task("records read", total=None)

        def taken(snapshot: Snapshot) -> None:
            if output != "json" and snapshot.extents:  # JSON holds it
                bars.console.print(Text(str(snapshot)), soft_wrap=True)
            bars.update(bar, total=sum(one.offsets for one in snapshot.extents.values()))

        answer = run(
            connection,
            known,
            asked,
            Limits(seconds, memory, threads, limit),
            taken=taken,
            told=lambda count: bars.advance(bar, count),
        )
    _print(answer, output)
    if answer.more:
        say(f"{answer.more:,} more not shown; see --limit")
    if answer.undecodable.records:
        say(f"{answer.undecodable.records:,} records could not be decoded and were left out")
    for topic, names in answer.masked.items():
        say(f"left out of {topic}, not public: {', '.join(names)}; see --sensitive")
    for topic, names in answer.hidden.items():
        say(told_hidden(topic, names))


def _print(answer: Answer, output: str) -> None:
    names = [column["name"] for column in answer.columns]
    if output == "json":
        extents = [document(extent) for extent in answer.snapshot.extents.values()]
        print_json(
            {
                "snapshot": {"name": answer.snapshot.name, "streams": extents},
                "columns": answer.columns,
                "rows": answer.rows,
                "more": answer.more,
                "masked": answer.masked,
                "hidden": answer.hidden,
                "undecodable": asdict(answer.undecodable),
            }
        )
    elif output == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(cell) for cell in row] for row in answer.rows)
        click.echo(text.getvalue(), nl=False)
    else:
        print_table(names, ([plain(_cell(cell))[:CELL_MAX] for cell in row] for row in answer.rows))


def _cell(cell: Any) -> Any:
    """A cell as a table or CSV has it: what is nested as JSON."""
    return json.dumps(cell) if isinstance(cell, bool | list | dict) else cell
