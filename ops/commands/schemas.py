"""doa schemas: the committed Avro schemas, checked, compared, written, registered; and fuzzed."""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import Any

import click

from ops import apply as applying
from ops.connect import connect
from ops.fuzz import run as fuzzing
from ops.output import OUTPUT, print_json, print_table, say
from schemas import derive
from schemas.record import Record
from streams.topology import discover, stream_of


@click.group()
def schemas() -> None:
    """Check, compare, write, register and fuzz the Avro schemas of all streams.

    Example: doa schemas check
    """


def _records(packages: tuple[str, ...]) -> dict[Path, list[type[Record]]]:
    """The records of each package, by the folder in which their schemas are committed."""
    topology = discover(packages)
    folders: dict[Path, list[type[Record]]] = {derive.FOLDER: []}
    for record in topology.records.values():
        folders.setdefault(derive.folder_of(record), []).append(record)
    return folders


@schemas.command()
@OUTPUT
@click.pass_obj
def check(packages: tuple[str, ...], output: str) -> None:
    """Offline: fail on a stale or incompatible schema, and on anything undocumented.

    Example: doa schemas check
    """
    problems = [
        p for folder, records in _records(packages).items() for p in derive.check(records, folder)
    ]
    if output == "json":
        print_json({"problems": problems})
    else:
        for problem in problems or ["ok"]:
            click.echo(problem)
    sys.exit(1 if problems else 0)


@schemas.command()
@click.pass_obj
def write(packages: tuple[str, ...]) -> None:
    """Write the `.avsc` files anew; commit them.

    Example: doa schemas write
    """
    changed = [
        p
        for folder, records in _records(packages).items()
        for p in derive.write_avsc(records, folder)
    ]
    for path in changed:
        click.echo(path.name)
    say(f"{len(changed)} files changed")


@schemas.command()
@OUTPUT
@click.pass_obj
def diff(packages: tuple[str, ...], output: str) -> None:
    """Compare today's schemas with the committed ones, and say what old records would break; exit
    1 if any.

    Example: doa schemas diff
    """
    changes: list[dict[str, Any]] = []
    for folder, records in _records(packages).items():
        for record in records:
            path = folder / f"{stream_of(record).topic}.avsc"
            before = derive.committed(path)
            after = derive.avro_schema(record)
            if before != after:
                old = [] if before is None else json.dumps(before, indent=2).split("\n")
                lines = list(
                    difflib.unified_diff(
                        old, json.dumps(after, indent=2).split("\n"), lineterm="", n=1
                    )
                )
                breaks = derive.incompatible(record, path)
                changes.append(
                    {"topic": path.stem, "new": before is None, "breaks": breaks, "lines": lines}
                )
    if output == "json":
        print_json({"changes": changes})
    else:
        for change in changes:
            click.echo(f"{change['topic']}: {'new' if change['new'] else 'changed'}")
            for reason in change["breaks"]:
                click.echo(f"  breaks old records: {reason}")
            for line in [] if change["new"] else change["lines"][2:]:
                click.echo(f"  {line}")
        if not changes:
            click.echo("no difference")
    sys.exit(1 if any(c["breaks"] for c in changes) else 0)


def _say_progress(so_far: dict[str, int]) -> None:
    say(f"{so_far['done']:,} cases, {so_far['wrong']} wrong, {so_far['slow']} slow")


@schemas.command()
@click.option("--cases", type=click.IntRange(1), default=20_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--from", "first", type=click.IntRange(0), default=0, help="The first case's number.")
@OUTPUT
@click.pass_obj
def fuzz(packages: tuple[str, ...], cases: int, seed: int, first: int, output: str) -> None:
    """Feed hostile bytes and schemas to the decoders of all event topics, in a process of its own
    that may use 50 ms and 256 MB per case; exit 1 when one crashes it, takes longer, raises what is
    no DataError, takes what it must refuse or refuses what it must take.

    Example: doa schemas fuzz --cases 1000000 --seed 7 -o json
    """
    result = fuzzing.fuzz(seed, cases, packages, first, _say_progress)
    if output == "json":
        print_json(result)
    else:
        print_table(["outcome", "cases"], [list(pair) for pair in result["outcomes"].items()])
        for fault in [*result["crashes"], *result["faults"]]:
            click.echo(f"case {fault['case']}: {fault.get('fault') or fault}")
        click.echo(
            f"{len(result['crashes'])} crashes, {result['slow']} slow, "
            f"at most {result.get('case_ms_max')} ms a case, {result.get('rss_mb_max')} MB in all"
        )
    sys.exit(1 if fuzzing.failed(result) else 0)


@schemas.command()
@OUTPUT
@click.pass_obj
def register(packages: tuple[str, ...], output: str) -> None:
    """Register every subject, its compatibility set before anything is written. Producers never do
    this.

    Example: doa schemas register -o json
    """
    connection = connect()
    codecs = applying.subjects(
        discover(packages), connection.registry, connection.settings.namespace
    )
    ids = {s: connection.registry.register(s, c.schema) for s, c in sorted(codecs.items())}
    if output == "json":
        print_json(ids)
    else:
        for subject, schema_id in ids.items():
            click.echo(f"{schema_id}\t{subject}")
