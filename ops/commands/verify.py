"""doa verify: derive records again from the log, and compare."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict

import click

from ops.complete import topics
from ops.connect import connect
from ops.output import OUTPUT, print_json, print_table, progress_bars, say
from ops.reach import Reach, reach
from ops.sensitive import SENSITIVE
from ops.verify import CannotVerify, Verdict, Verifier, flow_of, partitions_of, references
from streams.finder import ID, Finder, parse_id
from streams.outline import outline
from streams.plan import Plan
from streams.settings import in_words
from streams.snapshot import Keys
from streams.topology import Flow, Topology, discover
from streams.trace import Tracer
from streams.validation import checked

SAMPLE = 1_000


@click.command("verify")
@click.argument("record", metavar="ID|TOPIC|FLOW", shell_complete=topics)
@click.option(
    "--sample",
    default=SAMPLE,
    type=click.IntRange(1),
    help="Records of each stream.",
    show_default=True,
)
@click.option("--seed", default=0, help="Draws the same records again.", show_default=True)
@click.option(
    "--reach", "only_reach", is_flag=True, help="Only trace them, each to its raw events."
)
@SENSITIVE
@OUTPUT
@click.pass_obj
def verify(
    packages: tuple[str, ...],
    record: str,
    sample: int,
    seed: int,
    only_reach: bool,
    sensitive: bool,
    output: str,
) -> None:
    """Derive a record, some of a stream, or some of every stream of a flow again from the events
    and the journal, and compare: key, value, id, parents and model. Exit 1 if any differs, or if
    that cannot be told, since what they were made from is gone.

    It takes everything again that the flow took, up to the last of these records. With --reach
    nothing is derived: it is looked whether all that they name is there, and leads to events.

    Example: doa verify flights.prediction.departed --sample 100
    """
    connection, topology = connect(), checked(discover(packages))
    flow, named = _meant(topology, record, connection.settings.prefix)
    # Snapshots are derived too, and compared with nothing: who signs them does not matter.
    plan = Plan(flow, connection.registry, connection.settings.namespace, Keys.generate())
    partitions = partitions_of(connection, plan, named)
    view = connection.view(topology, sensitive=sensitive)
    verifier = Verifier(plan, view, partitions)
    with closing(connection.cluster.log()) as log:
        if ID.fullmatch(record):
            drawn = verifier.one(log, parse_id(record, connection.settings.prefix))
        else:
            drawn = verifier.sample(log, named, sample, seed)
        if not any(drawn.values()):
            raise CannotVerify(f"nothing has been written to {record} yet")
        with progress_bars() as bars:
            if only_reach:
                bar = bars.add_task("records traced", total=None)
                tracer = Tracer(outline(topology), Finder(log, plan.prefix), view)
                found = reach(tracer, references(drawn), lambda: bars.advance(bar))
                sys.exit(_tell_reach(found, output))
            bar = bars.add_task("transactions taken again", total=None)
            verdict = verifier.verify(log, drawn, lambda: bars.advance(bar))
    _tell(verdict, flow, output)
    sys.exit(0 if verdict.equal == verdict.checked else 1)


def _meant(topology: Topology, record: str, prefix: str) -> tuple[Flow, list[str]]:
    """The flow that is asked for, or that writes what is, and its streams that are meant."""
    if record in topology.flows:
        flow = topology.flow(record)
        if not flow.steps:
            raise CannotVerify(
                f"{record} reads the outside: nothing in the log leads to its events"
            )
        return flow, list(flow.derived)
    topic = record.split("[", maxsplit=1)[0].removeprefix(prefix)
    return flow_of(topology, topic), [topic]


def _tell(verdict: Verdict, flow: Flow, output: str) -> None:
    others = {code: n for code, n in verdict.codes.items() if code != flow.code_version}
    changed = [(dict(c), n) for c, n in sorted(verdict.settings.items()) if c and n]
    if output == "json":
        print_json(
            {
                "checked": verdict.checked,
                "equal": verdict.equal,
                "different": verdict.different,
                "code_version": flow.code_version,
                "other_code": others,
                "other_settings": [{"settings": c, "records": n} for c, n in changed],
            }
        )
        return
    for code, count in others.items():
        say(f"{count:,} were written by code {code}; the one at hand is {flow.code_version}")
    for settings, count in changed:
        say(f"{count:,} were written under other settings: {in_words(settings)}")
    click.echo(f"{verdict.equal:,} of {verdict.checked:,} equal")
    if verdict.different:
        rows = [(d["id"], d["differs"], d.get("fields", "")) for d in verdict.different]
        print_table(["record", "what differs", "field: [said, derived]"], rows)


def _tell_reach(found: Reach, output: str) -> int:
    """Print what came of it; the exit code."""
    if output == "json":
        print_json(asdict(found))
    else:
        click.echo(f"{found.reached:,} of {found.checked:,} lead to raw events")
        for line in found.lost:
            click.echo(line)
    return 0 if found.reached == found.checked else 1
