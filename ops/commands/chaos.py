"""doa chaos: a fault campaign on a stack of its own."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any

import click

from ops.chaos import report
from ops.chaos.campaign import Campaign, Outcome
from ops.chaos.cases import CASES
from ops.chaos.ground import Ground
from ops.chaos.soak import soak
from ops.connect import home_of
from ops.output import OUTPUT, print_json, print_table, say
from ops.stack.home import held
from ops.worker import quiet_logs
from streams.settings import Settings
from streams.topology import Topology, discover
from streams.validation import checked

EVENTS, PARTITIONS, WORKERS, SNAPSHOT_EVERY = 20_000, 8, 3, 100
SOAK, RATE = "soak", 3_100  # records per second: of the flights flow, 1,000 flights
SEED_MAX = 1_000_000
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.option("--full", is_flag=True, help="As many faults as in the full column of the table.")
@click.option("--seed", type=click.IntRange(0), help="Repeat the choices of another campaign.")
@click.option("--only", "names", multiple=True, type=click.Choice([*CASES, SOAK]), metavar="NAME",
              help=f"Only this case, of: {', '.join([*CASES, SOAK])}.")  # fmt: skip
@click.option("--flow", default="flights", show_default=True)
@click.option("--faults", type=click.IntRange(1), help="Override how often each fault strikes.")
@click.option("--events", type=click.IntRange(1_000), default=EVENTS, show_default=True,
              help="Input records of a run.")  # fmt: skip
@click.option("--partitions", type=click.IntRange(1, 64), default=PARTITIONS, show_default=True)
@click.option("--workers", type=click.IntRange(2, 16), default=WORKERS, show_default=True)
@click.option("--minutes", type=click.FloatRange(0.1), default=60.0, show_default=True,
              help="How long a soak lasts.")  # fmt: skip
@click.option("--rate", type=click.IntRange(1), default=RATE, show_default=True,
              help="Input records per second of a soak.")  # fmt: skip
@OUTPUT
@click.pass_obj
def chaos(packages: tuple[str, ...], /, seed: int | None, output: str, **options: Any) -> None:
    """Kill, stop, tear and starve a flow's workers, broker and registry; compare what was written
    with an undisturbed run. On a stack of its own: yours is left alone. Exit 1 when a case fails.

    Example: doa chaos --only worker_kill --seed 7
    """
    seed = SystemRandom().randrange(SEED_MAX) if seed is None else seed
    wishes = Wishes(checked(discover(packages)), seed, **options)
    if SOAK in wishes.names and len(wishes.names) > 1:
        raise click.UsageError("a soak takes the machine for itself: ask for it alone")
    folder = home_of(Settings()) / "chaos"
    for number in _heeded():
        signal.signal(number, signal.default_int_handler)
    quiet_logs()  # clients that lose their broker would say so all the time
    say(f"seed {seed}; logs in {folder}")
    with held(folder.with_suffix(".lock"), f"running a campaign in {folder}"):
        if wishes.names == (SOAK,):
            figures = _soak(folder, wishes)
            _report_soak(wishes, output, figures)
            sys.exit(0 if figures["passed"] else 1)
        outcomes: dict[str, Outcome] = {}
        try:
            _campaigns(folder, wishes, outcomes)
        except KeyboardInterrupt:
            say(f"interrupted; what was finished follows ({len(outcomes)} cases)")
            raise
        finally:  # what was finished is told, whatever ends the rest
            outcomes = {name: outcomes[name] for name in CASES if name in outcomes}
            _report(wishes, output, outcomes)
    sys.exit(1 if any(outcome.failures for outcome in outcomes.values()) else 0)


@dataclass(frozen=True)
class Wishes:
    """What the user asked for."""

    topology: Topology
    seed: int
    full: bool
    names: tuple[str, ...]
    flow: str
    faults: int | None
    events: int
    partitions: int
    workers: int
    minutes: float
    rate: int

    def ground(self, folder: Path, disk_mb: int = 0) -> Ground:
        """Where to do it."""
        return Ground(folder, self.topology, self.flow, self.partitions, disk_mb)

    def again(self, name: str) -> str:
        """The command that plays a case again."""
        words = ["doa", *(f"--app {p}" for p in self.topology.packages[1:]), "chaos"]
        words += ["--full"] if self.full else []
        words += [f"--only {name} --seed {self.seed} --flow {self.flow} --events {self.events}"]
        words += [f"--partitions {self.partitions} --workers {self.workers}"]
        words += [] if self.faults is None else [f"--faults {self.faults}"]
        return " ".join(words)


def _campaigns(folder: Path, wishes: Wishes, outcomes: dict[str, Outcome]) -> None:
    """Play the chosen cases, those together that can share a ground; note each that is finished."""
    chosen = {name: CASES[name] for name in wishes.names or CASES}
    lacking = {name: text for name, case in chosen.items() if (text := case.lacks())}
    outcomes |= {name: Outcome(failures=[text]) for name, text in lacking.items()}
    ready = {name: case for name, case in chosen.items() if name not in lacking}
    for disk_mb in sorted({case.disk_mb for case in ready.values()}):
        with _campaign(wishes.ground(folder, disk_mb), wishes) as campaign:
            for name, case in ready.items():
                if case.disk_mb == disk_mb:
                    count = wishes.faults or (case.full if wishes.full else case.short)
                    outcomes[name] = campaign.play(name, case, count)


@contextlib.contextmanager
def _campaign(ground: Ground, wishes: Wishes) -> Iterator[Campaign]:
    """A campaign on its ground, inputs loaded and the undisturbed run made; all is cleaned up."""
    program = [sys.executable, "-m", "ops.chaos.worker", str(SNAPSHOT_EVERY)]
    try:
        ground.up()
        ground.load(wishes.events, wishes.seed)
        campaign = Campaign(ground, program, wishes.seed, wishes.workers, say)
        campaign.undisturbed()
        yield campaign
    finally:
        with to_the_end():
            ground.down()


def _soak(folder: Path, wishes: Wishes) -> dict[str, Any]:
    ground = wishes.ground(folder)
    program = [sys.executable, "-m", "ops"]
    try:
        ground.up()
        return soak(ground, program, wishes.minutes, wishes.rate, wishes.workers, say).as_dict()
    finally:
        with to_the_end():
            ground.down()


def _heeded() -> list[signal.Signals]:
    """The signals that end a campaign, but not those that whoever started it has switched off."""
    return [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]


@contextlib.contextmanager
def to_the_end() -> Iterator[None]:
    """Let no signal cut a clean-up short; one that comes meanwhile is heeded after it."""
    came: list[int] = []
    before = {n: signal.signal(n, lambda number, _: came.append(number)) for n in _heeded()}
    try:
        yield
    finally:
        for number, heed in before.items():
            signal.signal(number, heed)
        if came:
            raise KeyboardInterrupt


def _report(wishes: Wishes, output: str, outcomes: dict[str, Outcome]) -> None:
    if output == "table":
        report.show(outcomes, wishes.seed, wishes.again)
    else:
        _print_json(wishes, {name: report.as_dict(outcome) for name, outcome in outcomes.items()})


def _report_soak(wishes: Wishes, output: str, figures: dict[str, Any]) -> None:
    if output == "table":
        print_table(("figure", "value"), [(n, str(v)) for n, v in figures.items()])
    else:
        _print_json(wishes, {SOAK: figures})


def _print_json(wishes: Wishes, cases: dict[str, Any]) -> None:
    versions = report.versions(wishes.topology)
    print_json({"seed": wishes.seed, "flow": wishes.flow, "versions": versions, "cases": cases})
