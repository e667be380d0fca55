"""doa worker | control: run flows, and talk to them while they run."""

from __future__ import annotations

import sys
from typing import Any

import click

from ops import complete
from ops.connect import connect
from ops.output import say
from streams.hosted import send_control
from streams.plan import Plan
from streams.topology import discover
from streams.validation import checked


@click.command()
@click.argument("flows", nargs=-1, shell_complete=complete.flows)
@click.option(
    "--slot", type=click.IntRange(0), help="Stable number of this worker. [the lowest free one]"
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of a source, such as flights=1000.",
)
@click.option("--wait", is_flag=True, help="Get ready, then begin at a line on standard input.")
@click.option(
    "--restart",
    is_flag=True,
    help="When it is killed, start it again at once from a process that stands by.",
)
@click.pass_obj
def worker(
    packages: tuple[str, ...],
    flows: tuple[str, ...],
    slot: int | None,
    options: tuple[str, ...],
    wait: bool,
    restart: bool,
) -> None:
    """Run FLOWS (all that read streams, if none is named) until Ctrl-C; as many workers as you
    like share the work.

    Example: doa worker flights --slot 1
    """
    from ops.worker import load, run_worker

    if restart and wait:
        raise click.UsageError("--restart and --wait exclude each other: a line comes only once")
    if restart:
        from ops.supervisor import supervise

        code = supervise(lambda: load(packages))
        if code is not None:
            sys.exit(code)
    found = dict(map(_option, options))
    begin = _await_line if wait else lambda: None
    sys.exit(run_worker(flows, slot, packages=packages, begin=begin, **found))


@click.command()
@click.argument("verb", type=click.Choice(["pause", "resume", "drain"]))
@click.argument("flow", shell_complete=complete.flows)
@click.option(
    "--reason", default="asked for on the command line", help="Shown by the worker's ready view."
)
@click.pass_obj
def control(packages: tuple[str, ...], verb: str, flow: str, reason: str) -> None:
    """Pause, resume or drain FLOW on all its workers.

    Example: doa control pause flights --reason "registry is being moved"
    """
    topology = checked(discover(packages))
    connection = connect()
    plan = Plan(topology.flow(flow), connection.registry, connection.settings.namespace)
    send_control(connection.cluster, plan, verb, reason)
    say(f"{verb} was sent to {flow}")


def _await_line() -> None:
    if not sys.stdin.readline():
        raise click.Abort  # whoever would have said it is gone


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise click.BadParameter(f"{text!r} is not NAME=VALUE, such as flights=1000")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            pass  # not a number of this kind
    return name, value
