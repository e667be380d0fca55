"""doa dlq ls | show | redrive | drop: what was refused, and what becomes of it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from ops.complete import flows
from ops.connect import connect
from ops.dead_letters import ID, Choice, Group, decide, groups, one
from ops.output import OUTPUT, plain, print_json, print_table, say
from ops.sensitive import SENSITIVE
from streams.errors import Fenced, StreamsError
from streams.letters import DROPPED, PARKED, REDRIVEN, WAITING, Outcome
from streams.topology import discover
from streams.validation import checked

INTAKE = "-"  # stands for "no processor had seen it" on the command line
STATES = (WAITING, PARKED, REDRIVEN, DROPPED)


@click.group()
def dlq() -> None:
    """Dead letters: what was refused and why; have it taken again, or dropped.

    Example: doa dlq ls flights
    """


@dlq.command("ls")
@click.argument("name", required=False, metavar="[FLOW|DOMAIN]", shell_complete=flows)
@click.option("--all", "everything", is_flag=True, help="Redriven and dropped ones, too.")
@OUTPUT
@click.pass_obj
def ls_command(packages: tuple[str, ...], name: str | None, everything: bool, output: str) -> None:
    """Count the dead letters by error class, processor (`-`: none had seen it) and topic.

    Example: doa dlq ls flights -o json
    """
    found = groups(connect(), checked(discover(packages)), name)
    if not everything:
        found = [g for g in found if g.counts.get(WAITING) or g.counts.get(PARKED)]
    if output == "json":
        print_json({"groups": [_group_document(group) for group in found]})
        return
    states = STATES if everything else STATES[:2]
    columns = ["class", "processor", "topic", *states, "first", "last", "example"]
    rows = [
        [
            group.error,
            group.processor or INTAKE,
            group.topic,
            *(group.counts.get(state, 0) for state in states),
            _instant(group.first_ms),
            _instant(group.last_ms),
            group.example,
        ]
        for group in found
    ]
    if rows:
        print_table(columns, rows)
    else:
        say("no dead letter waits")


@dlq.command()
@click.argument("letter", metavar="ID")
@SENSITIVE
@OUTPUT
@click.pass_obj
def show(packages: tuple[str, ...], letter: str, sensitive: bool, output: str) -> None:
    """Show one dead letter: what its headers say, its raw bytes, its fields where it has any.

    Example: doa dlq show 'flights.dead_letter[0]@17'
    """
    (letter,) = _checked_ids((letter,))
    connection, topology = connect(), checked(discover(packages))
    view = connection.view(topology, sensitive=sensitive)
    found = one(connection, topology, view, letter)
    if found is None:
        raise StreamsError(f"there is no dead letter {letter}")
    document: dict[str, Any] = {
        name: value.hex() if isinstance(value, bytes) else value for name, value in found.items()
    }
    if output == "json":
        print_json(document)
        return
    key = found["key"]
    if isinstance(key, bytes):
        document["key"] = key.decode("utf-8", "backslashreplace")
    for name in ("written_ms", "appended_ms"):
        if document[name] is not None:
            document[name] = f"{document[name]} ({_instant(document[name])})"
    fields = document.pop("fields") or {}
    rows = [(name, value) for name, value in document.items() if value is not None]
    print_table(("", ""), rows + [(f"field {name}", value) for name, value in fields.items()])


def _choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Which letters: by id, or by what holds for them."""
    options = [
        click.argument("ids", nargs=-1, metavar="[ID]..."),
        click.option("--flow", shell_complete=flows, help="Letters of this flow only."),
        click.option("--class", "error", metavar="CLASS", help="Letters of this error class only."),
        click.option("--processor", help="What this processor refused; `-`: what none had seen."),
        click.option("--all", "everything", is_flag=True, help="All letters (of --flow)."),
        click.option("--dry-run", is_flag=True, help="Only say what would be done."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@dlq.command()
@_choosing
@click.option("--force", is_flag=True, help="Parked ones, too: refused three times already.")
@OUTPUT
@click.pass_obj
def redrive(
    packages: tuple[str, ...],
    ids: tuple[str, ...],
    flow: str | None,
    error: str | None,
    processor: str | None,
    everything: bool,
    dry_run: bool,
    force: bool,
    output: str,
) -> None:
    """Have dead letters taken again by who refused them: each once, however often this is asked.

    Example: doa dlq redrive --class PROCESSOR_FAULT --processor planned_join --dry-run
    """
    choice = _choice(ids, flow, error, processor, everything)
    found = _decided(packages, choice, "redrive", force=force, dry_run=dry_run)
    _tell(*found, choice, REDRIVEN, dry_run, output)


@dlq.command()
@_choosing
@click.option("--yes", is_flag=True, help="Do not ask.")
@OUTPUT
@click.pass_obj
def drop(
    packages: tuple[str, ...],
    ids: tuple[str, ...],
    flow: str | None,
    error: str | None,
    processor: str | None,
    everything: bool,
    dry_run: bool,
    yes: bool,
    output: str,
) -> None:
    """Hide dead letters for good: they stay in their topic, and are never taken again.

    Example: doa dlq drop 'flights.dead_letter[0]@17' --yes
    """
    choice = _choice(ids, flow, error, processor, everything)
    if not yes and not dry_run:
        if not sys.stdin.isatty():
            raise click.UsageError("drop is for good; say --yes where nobody can be asked")
        planned, _ = _decided(packages, choice, "drop", dry_run=True)
        count = sum(len(outcome.done) for outcome in planned.values())
        click.confirm(f"Drop {count} dead letters for good?", abort=True, err=True)
    found = _decided(packages, choice, "drop", dry_run=dry_run)
    _tell(*found, choice, DROPPED, dry_run, output)


def _choice(
    ids: tuple[str, ...],
    flow: str | None,
    error: str | None,
    processor: str | None,
    everything: bool,
) -> Choice:
    held = (error, processor) != (None, None)
    if bool(ids) + held + everything != 1 or (ids and flow):
        raise click.UsageError(
            "say which letters: ID..., or --class and --processor, or --all; --flow narrows these"
        )
    return Choice(_checked_ids(ids), flow, error, "" if processor == INTAKE else processor)


def _checked_ids(ids: tuple[str, ...]) -> tuple[str, ...]:
    for text in ids:
        if ID.fullmatch(text) is None:
            raise click.UsageError(f"{text!r} is no id such as flights.dead_letter[0]@17")
    return ids


def _decided(
    packages: tuple[str, ...], choice: Choice, verb: str, **options: bool
) -> tuple[dict[str, Outcome], list[str]]:
    try:
        return decide(connect(), checked(discover(packages)), choice, verb, **options)
    except Fenced as error:
        raise StreamsError(
            "somebody else has begun to redrive or drop letters of this flow; what was written "
            "stands, and the same command does the rest"
        ) from error


def _tell(
    outcomes: dict[str, Outcome],
    missing: list[str],
    choice: Choice,
    word: str,
    dry_run: bool,
    output: str,
) -> None:
    """Print what came of it; exit 1 when something that was named was not done."""
    if output == "json":
        flows = {
            name: {word: o.done, "before": o.before, "left": o.left} for name, o in outcomes.items()
        }
        print_json({"flows": flows, "missing": missing, "dry_run": dry_run})
    else:
        for name, outcome in outcomes.items():
            would = "would be " if dry_run else ""
            before = f", {len(outcome.before)} were before" if outcome.before else ""
            click.echo(f"{name}: {len(outcome.done)} {would}{word}{before}")
            for reason, count in Counter(outcome.left.values()).items():
                example = next(id for id, why in outcome.left.items() if why == reason)
                click.echo(f"  {count} left: {plain(reason)} ({example})")
        for text in missing:
            say(f"there is no dead letter {text}; nothing was done")
    left = choice.ids and any(outcome.left for outcome in outcomes.values())
    sys.exit(1 if missing or left else 0)


def _group_document(group: Group) -> dict[str, Any]:
    document = {"class": group.error, **vars(group)}
    del document["error"], document["counts"]
    return document | {state: group.counts.get(state, 0) for state in STATES}


def _instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(" ", "seconds")[:19]
