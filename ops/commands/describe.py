"""doa describe: streams, processors and runs in the words of other tools."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ops.asyncapi import document
from ops.complete import flows
from ops.connect import NotConnected, connect
from ops.output import print_json, say
from ops.runs import Run, all_runs
from ops.whole import whole
from streams.settings import Settings
from streams.topology import Topology, discover
from streams.validation import checked

if TYPE_CHECKING:
    from ops.openlineage import Teller

NOWHERE = "embedded"  # the broker's name, when neither settings nor a running stack say it


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
    print_json(document(_named(discover(packages), flow), Settings()))


@describe.command("openlineage")
@click.argument("flow", required=False, shell_complete=flows)
@click.option(
    "--to", "target", metavar="FILE|URL", help="Write there, or send each to <URL>/api/v1/lineage."
)
@click.pass_obj
def openlineage(packages: tuple[str, ...], flow: str | None, target: str | None) -> None:
    """Print OpenLineage events, one a line: each stream, each flow with its processors, and, where
    a cluster runs, each run that the journals tell of; of FLOW only, if one is named. A key for URL
    is taken from OPENLINEAGE_API_KEY.

    Example: doa describe openlineage flights --to lineage.jsonl
    """
    from ops.openlineage import Teller, line, send

    topology, settings = _named(discover(packages), flow), Settings()
    ran: list[Run] = []
    broker = settings.bootstrap or NOWHERE
    try:
        connection = connect(settings)
        broker, ran = connection.cluster.bootstrap, list(all_runs(connection, topology))
    except NotConnected as error:
        say(f"only what is declared: {error}")
    told = list(_told(Teller(topology, broker.split(",")[0], settings.namespace), topology, ran))
    if target is None:
        for event in told:
            click.echo(line(event))
        return
    if target.startswith(("http://", "https://")):
        send(told, target)
    else:
        _write(Path(target), "".join(f"{line(event)}\n" for event in told))
    say(f"{len(told)} events went to {target}; runs of flows among them: {len(ran)}")


def _named(topology: Topology, flow: str | None) -> Topology:
    """The flow that is asked for, or all."""
    topology = checked(topology)
    if flow is None:
        return topology
    return Topology({flow: topology.flow(flow)}, topology.code_version, topology.packages)


def _told(teller: Teller, topology: Topology, ran: list[Run]) -> Iterator[object]:
    """What is declared is as old as the code at hand: as its first commit, or as this moment."""
    starts = [run.began_ms for run in ran if run.code_version == topology.code_version]
    yield from teller.declared(min(starts, default=time.time_ns() // 1_000_000))
    for run in ran:
        yield from teller.ran(run)


def _write(path: Path, text: str) -> None:
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")
