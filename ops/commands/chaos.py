"""doa chaos: a fault campaign on a stack of its own."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from random import SystemRandom

import click

from ops.chaos import report
from ops.chaos.campaign import Campaign, Outcome
from ops.chaos.cases import CASES
from ops.chaos.ground import Ground
from ops.connect import home_of
from ops.output import OUTPUT, print_json, say
from ops.stack.home import held
from streams.settings import Settings
from streams.topology import discover
from streams.validation import checked

EVENTS, PARTITIONS, WORKERS, SNAPSHOT_EVERY = 20_000, 8, 3, 100
SEED_MAX = 1_000_000


@click.command()
@click.option("--full", is_flag=True, help="As many faults as the full table of guarantees says.")
@click.option("--seed", type=click.IntRange(0), help="Repeat the choices of another campaign.")
@click.option("--only", "names", multiple=True, type=click.Choice(list(CASES)), metavar="NAME",
              help=f"Only this case, of: {', '.join(CASES)}.")  # fmt: skip
@click.option("--flow", default="flights", show_default=True)
@click.option("--faults", type=click.IntRange(1), help="Override how often each fault strikes.")
@click.option("--events", type=click.IntRange(1_000), default=EVENTS, show_default=True,
              help="Input records of a run.")  # fmt: skip
@click.option("--partitions", type=click.IntRange(1, 64), default=PARTITIONS, show_default=True)
@click.option("--workers", type=click.IntRange(2, 16), default=WORKERS, show_default=True)
@OUTPUT
@click.pass_obj
def chaos(
    packages: tuple[str, ...],
    full: bool,
    seed: int | None,
    names: tuple[str, ...],
    flow: str,
    faults: int | None,
    events: int,
    partitions: int,
    workers: int,
    output: str,
) -> None:
    """Kill, stop, tear and starve a flow's workers, broker and registry; compare what was written
    with an undisturbed run. On a stack of its own: yours is left alone. Exit 1 when a case fails.

    Example: doa chaos --only worker_kill --seed 7
    """
    topology = checked(discover(packages))
    seed = SystemRandom().randrange(SEED_MAX) if seed is None else seed
    chosen = {name: CASES[name] for name in names or CASES}
    folder = home_of(Settings()) / "chaos"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    say(f"seed {seed}; logs in {folder}")
    outcomes: dict[str, Outcome] = {}
    versions: dict[str, str] = {}
    with held(folder.with_suffix(".lock"), f"running a campaign in {folder}"):
        for disk_mb in sorted({case.disk_mb for case in chosen.values()}):
            cases = {name: case for name, case in chosen.items() if case.disk_mb == disk_mb}
            ground = Ground(folder, topology, flow, partitions, disk_mb)
            with _campaign(ground, seed, workers, events) as campaign:
                versions = report.versions(ground)
                for name, case in cases.items():
                    count = faults or (case.full if full else case.short)
                    outcomes[name] = campaign.play(name, case, count)
    if output == "json":
        found = {name: report.as_dict(outcome) for name, outcome in outcomes.items()}
        print_json({"seed": seed, "flow": flow, "versions": versions, "cases": found})
    else:
        report.show(outcomes, seed)
    sys.exit(1 if any(outcome.failures for outcome in outcomes.values()) else 0)


@contextlib.contextmanager
def _campaign(ground: Ground, seed: int, workers: int, events: int) -> Iterator[Campaign]:
    """A campaign on its ground, inputs loaded and the undisturbed run made; all is cleaned up."""
    program = [sys.executable, "-m", "ops.chaos.worker", str(SNAPSHOT_EVERY)]
    try:
        ground.up()
        ground.load(events, seed)
        campaign = Campaign(ground, program, seed, workers, say)
        campaign.undisturbed(program)
        yield campaign
    finally:
        ground.down()
