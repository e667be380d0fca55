"""What the shell may offer for an argument: names that are declared, without asking a server."""

from __future__ import annotations

import click

from streams.errors import StreamsError
from streams.settings import Settings
from streams.topology import Topology, discover


def flows(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Flows of the packages that the line loads."""
    return [name for name in _topology(context).flows if name.startswith(begun)]


def topics(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Streams and dead letters as the cluster calls them; what is internal only once it is begun
    by name.
    """
    topology = _topology(context)
    running = [flow for flow in topology.flows.values() if flow.steps]
    letters = dict.fromkeys(flow.dead_letter for flow in running)
    internal = [t for f in running for t in (f.changelog, f.journal, f.clock, f.redrive, f.control)]
    prefix = Settings().prefix
    shown = [prefix + name for name in (*topology.records, *letters)]
    hidden = [prefix + name for name in internal]
    return [n for n in shown if n.startswith(begun)] or [n for n in hidden if n.startswith(begun)]


def _topology(context: click.Context) -> Topology:
    packages = context.find_root().params.get("packages") or ()
    try:
        return discover(("processors", *packages))
    except StreamsError:
        return Topology({})  # the command itself will say what is wrong
