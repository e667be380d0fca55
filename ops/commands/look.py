"""doa check | graph: the declarations, offline."""

from __future__ import annotations

import sys

import click

from ops.complete import flows
from ops.output import OUTPUT, print_json
from streams import graph as drawing
from streams.topology import discover
from streams.validation import checked, validate


@click.command()
@OUTPUT
@click.pass_obj
def check(packages: tuple[str, ...], output: str) -> None:
    """Validate all declarations without a cluster; exit 1 with a sentence per problem.

    Example: doa --app ops.examples.tides check
    """
    topology = discover(packages)
    problems = validate(topology)
    if output == "json":
        print_json(
            {"flows": list(topology.flows), "streams": len(topology.records), "problems": problems}
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
    sys.exit(1 if problems else 0)


@click.command()
@click.argument("flow", required=False, shell_complete=flows)
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
def graph(packages: tuple[str, ...], flow: str | None, output: str, internal: bool) -> None:
    """Draw who reads and who writes every stream; of FLOW only, if one is named.

    Example: doa graph flights -o mermaid
    """
    topology = checked(discover(packages))
    if flow is not None:
        topology = type(topology)(
            {flow: topology.flow(flow)}, topology.code_version, topology.packages
        )
    if output == "json":
        print_json(drawing.as_data(topology, internal=internal))
    else:
        draw = drawing.as_text if output == "text" else drawing.as_mermaid
        click.echo(draw(topology, internal=internal))
