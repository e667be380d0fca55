"""doa demo: the main job."""

from __future__ import annotations

import signal
import time
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ops.connect import home_of
from ops.demo import run, summary
from ops.demo.watch import ScoreBoard
from ops.interrupt import Interrupt
from ops.output import OUTPUT, notes, print_json, say
from ops.stack import Stack
from streams.topology import discover
from streams.validation import checked

FLIGHTS_MAX = 336_776
FLIGHTS_DEFAULT = 90_000  # reaches April, so that the frozen model has a month to fall behind
PLAIN_LINE_S = 5.0


class Speed(click.ParamType):
    """`max`, or how many times faster than life, like `60x`."""

    name = "max|60x"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | None:
        """Parse it."""
        if value in (None, "max"):
            return None
        try:
            factor = float(str(value).removesuffix("x"))
        except ValueError:
            factor = 0.0
        if factor <= 0:
            self.fail(f"{value!r} is neither `max` nor a factor like `60x`", param, ctx)
        return factor


@click.command()
@click.option(
    "--flights",
    type=click.IntRange(1, FLIGHTS_MAX),
    default=FLIGHTS_DEFAULT,
    show_default=True,
    help=f"The first N flights of 2013 by schedule; {FLIGHTS_MAX} is the year.",
)
@click.option(
    "--speed", type=Speed(), default="max", show_default=True, help="Or a factor over life."
)
@click.option("--partitions", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--workers", type=click.IntRange(1, 16), default=1, show_default=True)
@click.option(
    "--fresh/--resume",
    default=True,
    help="Begin anew, or go on where the last run stopped. [fresh]",
)
@OUTPUT
@click.pass_obj
def demo(
    packages: tuple[str, ...],
    flights: int,
    speed: float | None,
    partitions: int,
    workers: int,
    fresh: bool,
    output: str,
) -> None:
    """Replay real flights, predict their delays, learn from their arrivals, and sum it up.

    Example: doa demo --flights 336776
    """
    options = run.Options(flights, speed, partitions, workers, fresh)
    topology = checked(discover(packages))
    began = time.monotonic()
    connection, started_stack = run.prepare(topology, options, say)
    setup_seconds = time.monotonic() - began
    interrupt = Interrupt(signal.SIGINT, signal.SIGTERM)
    replay: run.Replay | None = None
    team: run.Workers | None = None
    board = ScoreBoard(connection)
    state = run.State()
    try:
        with LiveLine(state, board, flights, interrupt) as line:
            team = run.Workers(workers, connection)
            replay = run.Replay(topology, options, connection, state)
            load_seconds = run.load(replay, state, line.tick) if speed is None else 0.0
            team.begin()
            seconds = run.process(topology, connection, team, replay, board, state, line.tick)
        interrupt.check()
        timing = summary.Timing(setup_seconds, load_seconds, seconds, team.rss_mb_max)
        result = summary.summarise(topology, connection, board, flights, timing)
    except KeyboardInterrupt:
        say("\nstopping; what was committed stays. Go on with: doa demo --resume")
        _stop(replay, team)
        if started_stack:
            Stack(home_of(connection.settings)).down()
        raise
    finally:
        board.close()
        _stop(replay, team)
    if output == "json":
        print_json(result)
    else:
        summary.show(result)


def _stop(replay: run.Replay | None, team: run.Workers | None) -> None:
    if replay is not None:
        replay.stop()
    if team is not None:
        team.stop()


class LiveLine:
    """Progress bars on a terminal; a line every few seconds elsewhere. Always on stderr."""

    def __init__(
        self, state: run.State, board: ScoreBoard, flights: int, interrupt: Interrupt
    ) -> None:
        self.state = state
        self.interrupt = interrupt
        self.board = board
        self.flights = flights
        self.console = notes()
        self.fancy = self.console.is_terminal
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[remark]}"),
        )
        self.progress = Progress(
            *columns, console=self.console, disable=not self.fancy, transient=True
        )
        self.load = self.progress.add_task("load", total=None, remark="")
        self.run = self.progress.add_task("learn", total=None, remark="")
        self._said = 0.0

    def __enter__(self) -> LiveLine:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def tick(self) -> None:
        """Show where the run stands; KeyboardInterrupt if it is to end."""
        self.interrupt.check()
        state = self.state
        self.progress.update(self.load, completed=state.loaded)
        if state.phase == "process":
            self.progress.update(
                self.run, completed=state.done, total=state.total, remark=self._remark()
            )
        if not self.fancy and time.monotonic() - self._said > PLAIN_LINE_S:
            self._said = time.monotonic()
            if state.phase == "load":
                say(f"load: {state.loaded:,} events written")
            else:
                say(f"learn: {state.done:,} of {state.total:,} events, {self._remark()}")

    def _remark(self) -> str:
        state = self.state
        share = state.done / state.total if state.total else 0.0
        parts = [f"{share * self.flights / max(state.seconds, 0.1):,.0f} flights/s"]
        score = self.board.merged("planned")
        if score is not None and score.model.log_loss is not None:
            base = score.baselines["base_rate"].log_loss
            parts.append(f"log loss {score.model.log_loss:.3f} (base rate {base:.3f}")
            if (
                score.frozen is not None
                and score.frozen.log_loss is not None
                and score.beside_frozen is not None
            ):
                parts[-1] += (
                    f"; since March {score.beside_frozen.log_loss:.3f}, "
                    f"frozen {score.frozen.log_loss:.3f}"
                )
            parts[-1] += ")"
        return ", ".join([*parts, f"lag {max(state.total - state.done, 0):,}"])
