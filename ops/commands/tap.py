"""doa tap: read any stream, now."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import click

from ops.complete import topics
from ops.conditions import WHERE
from ops.connect import connect, home_of
from ops.interrupt import Interrupt
from ops.outlined import outlined
from ops.output import OUTPUT_OR_CSV, say
from ops.rate_cap import RateCap
from ops.sensitive import SENSITIVE, may_see
from ops.tapped import printer
from streams.expression import Expression, all_hold, parse
from streams.masking import masks_of
from streams.scope import scope_of
from streams.settings import Settings
from streams.shown import Shown, View
from streams.tap import tap

RATE_FOLLOWED = 20  # records a second on a terminal: more scroll by unread
SHOWN, NOT_MATCHED, NOT_TOLD, NOT_SHOWN, UNDECODABLE = (
    "shown",
    "not matched",
    "of which the filter cannot be told",
    "not shown",
    "undecodable",
)


@click.command("tap")
@click.argument("topic", shell_complete=topics)
@click.option(
    "--from",
    "start",
    default="end",
    help="beginning, end, -N (the last N), @TIME, or the id of a record. [end]",
)
@click.option("-n", "--limit", type=click.IntRange(1), help="Stop after so many records.")
@WHERE
@click.option(
    "--columns", help="What to show beside id and key: fields, headers.NAME, …, with commas."
)
@click.option(
    "--follow/--no-follow",
    default=None,
    help="Wait for new records at the end. [only with --from end]",
)
@click.option(
    "--rate",
    type=click.IntRange(0),
    help=f"Show so many a second and count the rest; 0: all. [{RATE_FOLLOWED} when a terminal "
    "follows, else 0]",
)
@SENSITIVE
@OUTPUT_OR_CSV
@click.pass_obj
def tap_command(
    packages: tuple[str, ...],
    topic: str,
    start: str,
    limit: int | None,
    conditions: tuple[str, ...],
    columns: str | None,
    follow: bool | None,
    rate: int | None,
    sensitive: bool,
    output: str,
) -> None:
    """Show the records of TOPIC, decoded: id, key and fields. With `-o json` a JSON document per
    line; with `-o csv` all fields, those of records within as feature.carrier. At the end stderr
    says how many there were.

    Example: doa tap flights.prediction.departed --from beginning -n 5 --where 'probability > 0.9'
    """
    settings = Settings()
    known = outlined(packages, home_of(settings))
    name = topic.removeprefix(settings.prefix)
    masks = masks_of(known, may_see(settings, sensitive=sensitive))
    scope = scope_of(name, known.records.get(name), masks)
    expressions = [parse(text, scope) for text in conditions]
    chosen = None if columns is None else [column.strip() for column in columns.split(",")]
    show = printer(output, scope, chosen)
    follows = start == "end" if follow is None else follow
    if rate is None:
        rate = RATE_FOLLOWED if follows and sys.stdout.isatty() else 0
    connection = connect(settings)
    view = View(connection.registry, known.names, settings.prefix, masks)
    cap, counts, interrupt = RateCap(rate), Counter[str](), Interrupt()

    def idle() -> bool:
        interrupt.check()
        _tell_missed(cap)
        return False

    if settings.prefix + name in connection.cluster.partitions():
        topic = settings.prefix + name  # the namespace may be left out
    records = tap(connection.cluster, view, topic, start=start, follow=follows, idle=idle)
    try:
        for record in islice(_capped(_matching(records, expressions, counts), cap, counts), limit):
            show(record)
            sys.stdout.flush()
            counts[SHOWN] += 1
            counts[UNDECODABLE] += record.error is not None
    except KeyboardInterrupt:
        say(_summary(counts))
        raise
    say(_summary(counts))


def _matching(
    records: Iterable[Shown], expressions: Sequence[Expression], counts: Counter[str]
) -> Iterator[Shown]:
    for record in records:
        holds = all_hold(expressions, record)
        if holds:
            yield record
        else:
            counts[NOT_TOLD if holds is None else NOT_MATCHED] += 1


def _capped(records: Iterable[Shown], cap: RateCap, counts: Counter[str]) -> Iterator[Shown]:
    """So many in a second; before the next one is shown it is said how many were left out."""
    for record in records:
        if cap.passes(time.monotonic()):
            _tell_missed(cap)
            yield record
        else:
            counts[NOT_SHOWN] += 1


def _tell_missed(cap: RateCap) -> None:
    if missed := cap.take_missed():
        say(f"{missed:,} not shown")


def _summary(counts: Counter[str]) -> str:
    told = [NOT_MATCHED, NOT_TOLD, NOT_SHOWN, UNDECODABLE]
    return ", ".join(f"{counts[n]:,} {n}" for n in (SHOWN, *told) if n == SHOWN or counts[n])
