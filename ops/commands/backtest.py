"""doa backtest: what a change would have done, on the log as it was."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ops.backtest import run
from ops.backtest.branch import run_at
from ops.backtest.change import Branch, change_of, changed
from ops.backtest.compare import Comparison, Told
from ops.backtest.paired import Paired
from ops.connect import Connection, connect, home_of
from ops.interrupt import Interrupt
from ops.output import OUTPUT, print_json, print_table, progress_bars, say
from ops.sensitive import SENSITIVE
from ops.whole import whole
from streams.instant import instant_ms
from streams.topology import Flow

FIELDS_SHOWN = 3


@click.command("backtest")
@click.argument("change", required=False)
@click.option("--flow", "named", help="The flow that is changed. [the only one with a journal]")
@click.option("--since", metavar="TIME", help="Compare from this event time on. [the beginning]")
@click.option(
    "--records",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write each record that is not the same to this file, one JSON document per line.",
)
@click.option("--called", hidden=True, help="What to call the code at hand.")
@SENSITIVE
@OUTPUT
@click.pass_obj
def backtest(
    packages: tuple[str, ...],
    change: str | None,
    named: str | None,
    since: str | None,
    path: Path | None,
    called: str | None,
    sensitive: bool,
    output: str,
) -> None:
    """Run a flow with a CHANGE on the input that it really took, from the beginning, and compare
    what that writes with what is in its streams: records that are the same, changed, added,
    removed; and losses of the same examples, with the interval of their difference.

    CHANGE is a constant (MODULE.NAME=VALUE), a module whose processors take the place of those of
    the same name, or a branch. Without one it is the code at hand, as it has been edited. Nothing
    is written to any stream.

    Example: doa backtest processors.learning.delay_model.PROBABILITY_RATE=0.02 --since 2013-03-01
    """
    since_ms = 0 if since is None else instant_ms(since, f"--since {since}")
    asked = None if change is None else change_of(change)
    connection = connect()
    if isinstance(asked, Branch):
        arguments = again(packages, named, since, path, asked.name, output, sensitive=sensitive)
        sys.exit(run_at(asked.name, arguments, home_of(connection.settings).resolve()))
    flow = changed(packages, named, asked)
    with _told(path) as told:
        found = _compared(connection, flow, since_ms, told, sensitive=sensitive)
    _remarks(found, flow, called)
    if output == "json":
        print_json({"change": change or called, "since": since, **_document(found, flow)})
    else:
        _print(found)


def again(
    packages: tuple[str, ...],
    flow: str | None,
    since: str | None,
    path: Path | None,
    called: str,
    output: str,
    *,
    sensitive: bool,
) -> list[str]:
    """The same command for the code of a branch."""
    apps = [word for package in packages[1:] for word in ("--app", package)]
    options = {
        "--flow": flow,
        "--since": since,
        "--records": None if path is None else str(path.resolve()),
        "--called": called,
        "--output": output,
    }
    given = [word for name, value in options.items() if value for word in (name, value)]
    return [*apps, "backtest", *given, *(["--sensitive"] if sensitive else [])]


def _compared(
    connection: Connection, flow: Flow, since_ms: int, told: Told | None, *, sensitive: bool
) -> Comparison:
    """Compare, with a bar on a terminal."""
    interrupt = Interrupt()
    with progress_bars() as bars:
        bar = bars.add_task("taken again", total=None)

        def progress(at_ms: int) -> None:
            interrupt.check()
            reached = datetime.fromtimestamp(at_ms / 1_000, UTC)
            bars.update(bar, advance=1, description=f"taken again to {reached:%Y-%m-%d %H:%M}")

        return run.backtest(
            connection,
            flow,
            since_ms=since_ms,
            sensitive=sensitive,
            progress=progress,
            check=interrupt.check,
            told=told,
        )


@contextmanager
def _told(path: Path | None) -> Iterator[Told | None]:
    """Who hears of each record that is not the same, if anybody does. A file that is there already
    stays until the new one is whole.
    """
    if path is None:
        yield None
        return
    with whole(path) as part, part.open("w", encoding="utf-8") as file:
        yield lambda record: print(json.dumps(record), file=file)


def _remarks(found: Comparison, flow: Flow, called: str | None) -> None:
    """What has to be known to read the figures."""
    for code in set(found.codes) - {flow.code_version}:
        say(
            f"{found.codes[code]:,} transactions were run by code {code}, "
            f"{called or 'the code at hand'} is {flow.code_version}: "
            "all that differs between the two is compared"
        )
    if found.dead_letters_before or found.dead_letters_after:
        after, before = found.dead_letters_after, found.dead_letters_before
        say(f"dead letters: {after:,} with the change, {before:,} as it ran")
    if cut := found.dead_letters_cut:
        say(
            f"of {cut:,} partitions the oldest dead letters are gone: those with the change are of "
            "the whole run, those as it ran are what retention has left"
        )
    if not any(c.same + c.changed + c.added + c.removed for c in found.streams.values()):
        say("nothing was compared: no record is of that time or later")


def _document(found: Comparison, flow: Flow) -> dict[str, Any]:
    return {
        "flow": flow.name,
        "code_version": flow.code_version,
        "ran": dict(found.codes),
        "streams": {
            topic: {**vars(change), "fields": dict(change.fields)}
            for topic, change in found.streams.items()
        },
        "losses": [
            {
                "stream": stream,
                "loss": name,
                "examples": loss.examples,
                "days": len(loss.days),
                "before": loss.before,
                "after": loss.after,
                "difference": loss.difference,
                "interval": loss.interval,
            }
            for (stream, name), loss in found.losses.items()
        ],
        "dead_letters": {
            "before": found.dead_letters_before,
            "after": found.dead_letters_after,
            "cut": found.dead_letters_cut,
        },
    }


def _print(found: Comparison) -> None:
    rows = []
    for topic, c in found.streams.items():
        fields = [name for name, _ in c.fields.most_common(FIELDS_SHOWN)]
        more = ["…"] if len(c.fields) > FIELDS_SHOWN else []
        counts = (f"{n:,}" for n in (c.same, c.changed, c.added, c.removed))
        rows.append((topic, *counts, c.first, ", ".join(fields + more)))
    columns = ["stream", "same", "changed", "added", "removed", "first", "fields"]
    print_table(columns, rows)
    scored = [(name, loss) for name, loss in found.losses.items() if loss.examples]
    if scored:
        click.echo()
        columns = ["stream", "loss", "examples", "ran", "changed", "difference", "95 %", ""]
        print_table(columns, [_scored(stream, name, loss) for (stream, name), loss in scored])


def _scored(stream: str, name: str, loss: Paired) -> tuple[str, ...]:
    interval, difference = loss.interval, loss.difference
    assert difference is not None, "there are examples"
    told, verdict = "fewer than two days", ""
    if interval is not None:
        low, high = interval
        told = f"{low:+.5f} to {high:+.5f}"
        verdict = "better" if high < 0 else "worse" if low > 0 else "cannot be told apart"
        verdict = "the same" if low == high == 0 else verdict
    count = f"{loss.examples:,} of {len(loss.days):,} days"
    figures = (f"{loss.before:.5f}", f"{loss.after:.5f}", f"{difference:+.5f}")
    return stream, name, count, *figures, told, verdict
