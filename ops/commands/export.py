"""doa export: a stream, or a range of it, as a file."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.progress import Progress

from ops.complete import topics
from ops.conditions import WHERE
from ops.export.point_in_time import Finding, check, questions_of
from ops.export.where import where_of
from ops.export.write import check_target, export, manifest_of
from ops.frames import Reading, scan
from ops.output import OUTPUT, print_json, progress_bars, say
from ops.sensitive import SENSITIVE, told_hidden


@click.command("export")
@click.argument("topic", shell_complete=topics)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--from", "start", default="beginning", help="beginning, @TIME or an offset. [beginning]"
)
@click.option("--to", "end", default=None, help="end, @TIME or an offset, not included. [end]")
@click.option("--as-of", metavar="TIME", help="Only what had been appended before: --to @TIME.")
@WHERE
@click.option("--columns", help="These only, separated by commas, in this order.")
@SENSITIVE
@click.option(
    "--skip-undecodable", is_flag=True, help="Leave out, and count, what cannot be decoded."
)
@click.option(
    "--check/--no-check",
    "checks",
    default=True,
    help="Of examples: whether they hold only what was known when their question was asked.",
    show_default=True,
)
@click.option("--force", is_flag=True, help="Write a file anew that is there.")
@OUTPUT
@click.pass_obj
def export_command(
    packages: tuple[str, ...],
    topic: str,
    file: Path,
    start: str,
    end: str | None,
    as_of: str | None,
    conditions: tuple[str, ...],
    columns: str | None,
    sensitive: bool,
    skip_undecodable: bool,
    checks: bool,
    force: bool,
    output: str,
) -> None:
    """Write the records of TOPIC to FILE, which is Parquet, CSV or JSON lines as its name ends in
    .parquet, .csv or .jsonl; and what is in it to FILE.manifest.json. The same bounds give the same
    bytes again. Of a stream of examples it is looked first whether anything in them is newer than
    their question; then nothing is written, and the exit code is 1.

    Example: doa export flights.example.planned planned.parquet --as-of 2026-11-27
    """
    if as_of is not None and end is not None:
        raise click.UsageError("--as-of and --to both say where to end; use one")
    check_target(file, force=force)
    names = None if columns is None else [name.strip() for name in columns.split(",")]
    end = f"@{as_of.removeprefix('@')}" if as_of else end or "end"
    reading = scan(topic, start, end, columns=names, sensitive=sensitive, app=packages)
    where = where_of(reading, conditions, sensitive=sensitive) if conditions else None
    with progress_bars() as bars:
        finding = _checked(reading, bars) if checks else None
        if finding is not None and finding.faulty:
            bars.stop()
            sys.exit(_refuse(finding, output))
        bar = bars.add_task("records written", total=reading.extent.offsets)
        details = {"point_in_time": None if finding is None else {"checked": finding.checked}}
        manifest = export(
            reading,
            file,
            skip_undecodable=skip_undecodable,
            where=where,
            details=details,
            told=lambda count: bars.advance(bar, count),
        )
    if output == "json":
        print_json(manifest)
        return
    click.echo(f"{manifest['records']:,} records of {reading.extent}")
    click.echo(f"{file}, sha256 {manifest['sha256']}; {manifest_of(file).name} says the rest")
    if finding is not None:
        click.echo(f"{finding.checked:,} examples hold nothing newer than their question")
    if told := manifest["where"]:
        say(f"{told['not_matched']:,} not matched, {told['not_told']:,} of which it cannot be told")
    if manifest["undecodable"]["records"]:
        say(f"{manifest['undecodable']['records']:,} could not be decoded and were left out")
    if manifest["masked"]:
        say(f"left out, not public: {', '.join(manifest['masked'])}; --sensitive writes them")
    if manifest["hidden"]:
        say(told_hidden(reading.extent.topic, manifest["hidden"]))


def _checked(reading: Reading, bars: Progress) -> Finding | None:
    """What the check of examples finds; None if the stream holds none."""
    questions = questions_of(reading.known, reading.extent.topic)
    if questions is None:
        return None
    bar = bars.add_task("records looked at", total=None)
    return check(reading, questions, lambda count: bars.advance(bar, count))


def _refuse(finding: Finding, output: str) -> int:
    """Say which examples are at fault; the exit code."""
    if output == "json":
        print_json({"checked": finding.checked, "faulty": finding.faulty, "faults": finding.told})
    for line in finding.told if output != "json" else ():
        click.echo(line)
    say(
        f"doa: {finding.faulty:,} of {finding.checked:,} examples are not as of their question; "
        "nothing was written (--no-check writes them all the same)"
    )
    return 1
