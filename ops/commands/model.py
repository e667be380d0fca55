"""doa model: what learners have learnt, and whether their examples say the same."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict

import click
from rich.progress import Progress

from ops import models
from ops.connect import connect, home_of
from ops.output import OUTPUT, notes, print_json, print_table, say
from streams.settings import Settings
from streams.snapshot import Keys
from streams.topology import discover
from streams.validation import checked

BAR_STEP = 500  # examples


@click.group()
def model() -> None:
    """List, show and rebuild the models of learners; replace the key that signs their snapshots.

    Example: doa model ls
    """


@model.command("ls")
@OUTPUT
@click.pass_obj
def list_models(packages: tuple[str, ...], output: str) -> None:
    """List every model: examples folded, snapshot, size, key, whether it can be used.

    Example: doa model ls -o json
    """
    connection = connect()
    with closing(connection.cluster.log()) as log:
        topology = checked(discover(packages))
        rows = [kept.summary() for kept in models.kept_models(topology, connection, log)]
    if output == "json":
        print_json({"models": rows})
    elif rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows])
    else:
        say("no flow has a learner")


@model.command()
@click.argument("name", metavar="MODEL")
@OUTPUT
@click.pass_obj
def show(packages: tuple[str, ...], name: str, output: str) -> None:
    """Show the last snapshot of MODEL: what it covers, what made it, what was refused.

    Example: doa model show planned@0
    """
    connection = connect()
    with closing(connection.cluster.log()) as log:
        topology = checked(discover(packages))
        found = [k.facts() for k in models.kept_models(topology, connection, log, [name])]
    if not found:
        raise models.NoModel(f"{name} is in no partition of its flow")
    if output == "json":
        print_json({"models": found})
        return
    for facts in found:
        print_table(["fact", "value"], [*facts.items()], title=facts["model"])


@model.command()
@click.argument("name", metavar="MODEL")
@click.option(
    "--forget",
    is_flag=True,
    help="Then forget its snapshots, so that the next start of its flow folds it anew.",
)
@OUTPUT
@click.pass_obj
def rebuild(packages: tuple[str, ...], name: str, forget: bool, output: str) -> None:
    """Fold MODEL again from its first example; exit 1 when its snapshot is another model.

    Example: doa model rebuild planned
    """
    connection, rebuilt, forgotten = connect(), [], 0
    with closing(connection.cluster.log()) as log:
        topology = checked(discover(packages))
        found = list(models.kept_models(topology, connection, log, [name]))
        chosen = [kept for kept in found if kept.generation]
        if not chosen:
            raise models.NoModel(f"{name} has no snapshot yet; it learns when its flow runs")
        for kept in chosen:
            if kept.parts is not None or not forget:
                with _bar(kept.owner, kept.first.version) as told:
                    rebuilt.append(models.rebuild(kept, log, told))
            if forget:
                forgotten += models.forget(kept, connection, log)
    if output == "json":
        print_json({"rebuilt": [asdict(one) for one in rebuilt], "forgotten": forgotten})
    else:
        rows = [asdict(one) for one in rebuilt]
        if rows:
            print_table(list(rows[0]), [list(row.values()) for row in rows])
        if forget:
            say(f"{forgotten} records of snapshots forgotten; the next start folds anew")
    sys.exit(0 if all(one.equal for one in rebuilt) else 1)


@contextmanager
def _bar(owner: str, version: int) -> Iterator[Callable[[int], None]]:
    """Tell how far a fold has come: a bar on a terminal, else one line."""
    if not sys.stderr.isatty():
        say(f"{owner}: folding {version:,} examples")
        yield lambda done: None
        return
    with Progress(console=notes(), transient=True) as bars:
        task = bars.add_task(f"{owner}: folding {version:,} examples", total=version)
        yield lambda done: bars.update(task, completed=done) if done % BAR_STEP == 0 else None


@model.command("rotate-key")
@OUTPUT
def rotate_key(output: str) -> None:
    """Sign snapshots with a new key; the one before it still verifies, older ones are forgotten.

    Workers take it up when they are restarted. A snapshot whose key is forgotten is folded again.

    Example: doa model rotate-key
    """
    path = home_of(Settings()) / "keys.json"
    keys, forgotten = Keys.rotate(path)
    signs, *verify = keys.keys
    if output == "json":
        print_json({"signs": signs, "verify": verify, "forgotten": forgotten})
        return
    click.echo(f"{signs} signs from now on; {', '.join(verify)} still verifies")
    for name in forgotten:
        click.echo(f"{name} is forgotten")
    say("restart the workers, one after another: doa worker FLOW --slot N")
