"""doa apply | reset: make the cluster match the declarations; forget a flow."""

from __future__ import annotations

import sys

import click

from ops import apply as applying
from ops.complete import flows
from ops.connect import connect, home_of
from ops.dead_letters import forget
from ops.output import OUTPUT, print_json, say
from streams.topology import discover
from streams.validation import checked


@click.command("apply")
@click.option(
    "--partitions", type=click.IntRange(1), help="Override the partition count of every stream."
)
@click.option(
    "--plan",
    "only_plan",
    is_flag=True,
    help="Print what would be done; exit 1 if that is anything.",
)
@OUTPUT
@click.pass_obj
def apply_command(
    packages: tuple[str, ...], partitions: int | None, only_plan: bool, output: str
) -> None:
    """Make topics, their settings and subjects match the declarations. Prints its plan first.

    Example: doa apply --partitions 4
    """
    topology = checked(discover(packages))
    connection = connect()
    changes = applying.plan_changes(topology, connection.cluster, connection.registry, partitions)
    if output == "json":
        print_json({"changes": changes.lines()})
    else:
        for line in changes.lines() or ["nothing to do: the cluster matches the declarations"]:
            click.echo(line)
    if only_plan:
        sys.exit(1 if changes else 0)
    lock = home_of(connection.settings) / "streams.lock.json"
    applying.apply(topology, connection.cluster, connection.registry, changes, lock)


@click.command("reset")
@click.argument("flow", shell_complete=flows)
@click.option("--inputs", is_flag=True, help="Delete the event topics that it reads, too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def reset_command(packages: tuple[str, ...], flow: str, inputs: bool, yes: bool) -> None:
    """Forget what FLOW wrote, its state and its offsets: it begins anew at the next start.

    Its dead letters stay if another flow that is loaded writes to the same topic.

    Example: doa reset flights
    """
    topology = checked(discover(packages))
    chosen = topology.flow(flow)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("reset deletes topics; say --yes where nobody can be asked")
        typed = click.prompt(
            f"This deletes all that {flow} wrote. Type its name to go on", err=True
        )
        if typed != flow:
            raise click.Abort
    connection = connect()
    gone = applying.reset(topology, chosen, connection.cluster, inputs_too=inputs)
    changes = applying.plan_changes(topology, connection.cluster, connection.registry)
    applying.apply(topology, connection.cluster, connection.registry, changes, None)
    others = applying.buried_with(topology, chosen)
    if others:
        dropped = forget(connection, topology, chosen)
        say(
            f"{chosen.dead_letter} is kept: it also holds the dead letters of {', '.join(others)}; "
            f"{dropped} of {flow} were dropped"
        )
    say(f"{len(gone)} topics deleted and made anew; start it with: doa worker {flow}")
