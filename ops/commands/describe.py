"""doa describe: the declarations in the words of other tools."""

from __future__ import annotations

import click

from ops.asyncapi import document
from ops.complete import flows
from ops.output import print_json
from streams.settings import Settings
from streams.topology import Topology, discover
from streams.validation import checked


@click.group()
def describe() -> None:
    """Describe streams and processors for other tools, as JSON on stdout.

    Example: doa describe asyncapi flights
    """


@describe.command("asyncapi")
@click.argument("flow", required=False, shell_complete=flows)
@click.pass_obj
def asyncapi(packages: tuple[str, ...], flow: str | None) -> None:
    """Print an AsyncAPI 3.0 document: a channel per stream with its Avro schema and key, and who
    sends and receives what; of FLOW only, if one is named. No cluster is needed.

    Example: doa describe asyncapi flights
    """
    print_json(document(_named(checked(discover(packages)), flow), Settings()))


def _named(topology: Topology, flow: str | None) -> Topology:
    """The flow that is asked for, or all."""
    if flow is None:
        return topology
    return Topology({flow: topology.flow(flow)}, topology.code_version, topology.packages)
