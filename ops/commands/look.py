"""doa check | graph: the declarations, offline; beside them what is there, and what really ran."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops.complete import flows
from ops.debts import changed_settings, debts
from ops.output import OUTPUT, print_json, say
from streams import graph as drawing
from streams.errors import TopologyError, Unregistered
from streams.graph import Edge
from streams.settings import Settings, in_words
from streams.topology import Topology, discover
from streams.validation import checked, validate

if TYPE_CHECKING:
    from ops.runs import Run

DECLARED, OBSERVED = "declared", "observed"
DIFF, DIFF_WORDS_MAX = "diff", 3


@click.command()
@click.option(
    "--live", is_flag=True, help="Compare what was applied with the cluster and the registry, too."
)
@OUTPUT
@click.pass_obj
def check(packages: tuple[str, ...], live: bool, output: str) -> None:
    """Validate all declarations without a cluster; exit 1 with a sentence per problem. Debts, as
    streams that nobody reads, and settings that were changed are told as well.

    With --live: other partitions or settings than were applied, weaker compatibility, topics,
    readers and writers that nothing declares. Settings under which flows were last run are told.

    Example: doa check --live
    """
    topology = discover(packages)
    problems = validate(topology)
    owed = [] if problems else debts(topology)
    changed = changed_settings(Settings())
    ran: list[Run] = []
    if live and not problems:
        problems, ran = _live(topology)
    if output == "json":
        print_json(
            {
                "flows": list(topology.flows),
                "streams": len(topology.records),
                "problems": problems,
                "debts": owed,
                "settings": {
                    name: {"value": value, "default": default}
                    for name, (value, default) in changed.items()
                },
                **({"ran": {run.flow: _last(run) for run in ran}} if live else {}),
            }
        )
    else:
        for problem in problems:
            click.echo(problem)
        if not problems:
            steps = sum(len(f.processors) for f in topology.flows.values())
            click.echo(
                f"ok: {len(topology.flows)} flows, {steps} processors, "
                f"{len(topology.records)} streams, "
                f"code version {topology.code_version}"
            )
        for line in owed:
            click.echo(line)
        for name, (value, default) in changed.items():
            click.echo(f"setting: {name} is {value}; its default is {default}")
        for run in ran:
            under = in_words(_last(run)["settings"] or {})
            if under:
                click.echo(f"{run.flow} was run under other settings: {under}")
    sys.exit(1 if problems else 0)


def _last(run: Run) -> dict[str, Any]:
    """The code of a run, and the settings that it was last taken on with; None if not recorded."""
    return {
        "code_version": run.code_version,
        "settings": run.settings[-1] if run.settings else None,
    }


def _live(topology: Topology) -> tuple[list[str], list[Run]]:
    """What is not as it was applied; and the last run of each flow."""
    from ops.connect import connect, home_of
    from ops.live import findings, read_lock
    from ops.runs import all_runs

    connection = connect()
    lock = read_lock(home_of(connection.settings) / "streams.lock.json")
    _, undeclared = drawing.differences(drawing.edges(topology), _observed(topology))
    found = findings(connection, topology, lock, undeclared)
    try:
        ran = {run.flow: run for run in all_runs(connection, topology)}
    except Unregistered as error:  # a newer doa looks at what an older one has applied
        return [*found, str(error)], []
    return found, list(ran.values())


@click.command()
@click.argument("words", nargs=-1, metavar="[FLOW | diff [A] [B]]", shell_complete=flows)
@click.option("--observed", is_flag=True, help="The graph as it really ran, with counts.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "mermaid", "json"]),
    default="text",
    help="How to draw.",
)
@click.option(
    "--internal", is_flag=True, help="Show journals, changelogs, clocks and dead letters too."
)
@click.pass_obj
def graph(
    packages: tuple[str, ...], words: tuple[str, ...], observed: bool, output: str, internal: bool
) -> None:
    """Draw who reads and who writes every stream; of FLOW only, if one is named.

    `doa graph diff [A] [B]` compares two graphs: `declared`, `observed`, or a file that
    `doa graph -o json` has written; exit 1 if B has an edge that A has not.

    Example: doa graph diff declared observed
    """
    topology = checked(discover(packages))
    if words[:1] == (DIFF,) and len(words) <= DIFF_WORDS_MAX:
        left = words[1] if len(words) > 1 else DECLARED
        right = words[2] if len(words) == DIFF_WORDS_MAX else OBSERVED
        sys.exit(_differ(topology, left, right, output))
    if len(words) > 1:
        raise click.UsageError("name one flow, or none; or say: doa graph diff [A] [B]")
    drawn = _observed(topology) if observed else drawing.edges(topology, internal=internal)
    if words:
        flow = topology.flow(words[0])
        topology = Topology({flow.name: flow}, topology.code_version, topology.packages)
        drawn = [edge for edge in drawn if edge.flow == flow.name]
    if output == "json":
        print_json({**drawing.as_data(topology), "edges": [asdict(edge) for edge in drawn]})
    else:
        click.echo((drawing.as_text if output == "text" else drawing.as_mermaid)(drawn))


def _differ(topology: Topology, left: str, right: str, output: str) -> int:
    """Print what differs; the exit code."""
    only_left, only_right = drawing.differences(_edges(topology, left), _edges(topology, right))
    if output == "json":
        print_json(
            {
                left: [asdict(edge) for edge in only_left],
                right: [asdict(edge) for edge in only_right],
            }
        )
    else:
        for mark, edges in (("-", only_left), ("+", only_right)):
            for e in edges:
                click.echo(f"{mark} {e.flow}: {e.processor} {e.direction} {e.topic}")
        if not only_left and not only_right:
            click.echo(f"{left} and {right} are equal")
    return 1 if only_right else 0


def _edges(topology: Topology, name: str) -> list[Edge]:
    if name == DECLARED:
        return drawing.edges(topology)
    if name == OBSERVED:
        return _observed(topology)
    try:
        return [
            Edge(**edge) for edge in json.loads(Path(name).read_text(encoding="utf-8"))["edges"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TopologyError(
            f"{name} is neither {DECLARED}, {OBSERVED} nor a file of doa graph -o json: {error}"
        ) from error


def _observed(topology: Topology) -> list[Edge]:
    from ops.commands.index import up_to_date
    from ops.connect import connect
    from ops.observed import observe

    connection = connect()
    with up_to_date(connection, topology) as index:
        found = observe(connection, topology, index)
    if not found:
        say("nothing has been written yet")
    return found
