"""Running the demo: stack up, topics made, events loaded, workers started and watched until they
have caught up.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psutil

from ops import apply as applying
from ops.connect import Connection, connect, home_of
from ops.demo import watch
from ops.stack import Stack
from processors.nycflights.replay import read_timeline
from streams.errors import StreamsError
from streams.replay import SourceLoop
from streams.settings import Settings
from streams.topology import Topology

SOURCE_FLOW, FLOW = "nycflights", "flights"
WORKER_STOP_S = 20.0
POLL_S = 0.5
SCORES_WAIT_S = 0.5


class WorkerDied(StreamsError):
    """A worker ended by itself."""


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    flights: int
    speed: float | None
    partitions: int
    workers: int
    fresh: bool


@dataclass
class State:
    """What there is to tell while it runs."""

    phase: str = "starting"
    loaded: int = 0
    total: int = 0
    done: int = 0
    seconds: float = 0.0


def prepare(
    topology: Topology, options: Options, say: Callable[[str], None]
) -> tuple[Connection, bool]:
    """Bring the stack up and make the topics; whether this call started the stack."""
    settings = Settings()
    started = False
    if settings.bootstrap is None or settings.registry_url is None:
        stack = Stack(home_of(settings))
        if not stack.status().up:
            started = True
            with ThreadPoolExecutor(1) as reader:  # the servers start in processes of their own
                reader.submit(read_timeline, options.flights)
                stack.up()
    connection = connect(settings)
    if options.fresh:
        say("forgetting the last run")
        for name in (FLOW, SOURCE_FLOW):
            flow = topology.flow(name)
            applying.reset(topology, flow, connection.cluster, inputs_too=True, group_too=False)
    changes = applying.plan_changes(
        topology, connection.cluster, connection.registry, options.partitions
    )
    lock = home_of(settings) / "streams.lock.json"
    applying.apply(topology, connection.cluster, connection.registry, changes, lock)
    return connection, started


class Replay:
    """The source, on a thread of its own."""

    def __init__(
        self, topology: Topology, options: Options, connection: Connection, state: State
    ) -> None:
        flow = topology.flow(SOURCE_FLOW)

        def count(records: int) -> None:
            state.loaded = records

        self.loop = SourceLoop(
            topology,
            flow,
            flow.sources[0],
            connection.cluster,
            connection.registry,
            speed=options.speed,
            progress=count,
            flights=options.flights,
        )
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="replay", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.loop.run()
        except BaseException as error:
            self.error = error

    @property
    def running(self) -> bool:
        """Whether it still writes; what it died of is raised."""
        if self.error is not None:
            raise self.error
        return self.thread.is_alive()

    def stop(self) -> None:
        """Commit what was written and end."""
        self.loop.stop()
        self.thread.join(WORKER_STOP_S)


class Workers:
    """The worker processes: they get ready while events are loaded, and begin when told."""

    def __init__(
        self, count: int, connection: Connection, settings: Mapping[str, str] | None = None
    ) -> None:
        environment = {
            **os.environ,
            "PYTHONHASHSEED": "0",
            "DOA_NAMESPACE": connection.settings.namespace,
            **(settings or {}),
        }
        command = [sys.executable, "-m", "ops", "worker", FLOW, "--wait"]
        self.processes = [
            subprocess.Popen(
                [*command, "--slot", str(slot)],
                env=environment,
                stdin=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            for slot in range(count)
        ]
        self.rss_mb_max = 0.0

    def begin(self) -> None:
        """Let them begin: what they are to read is sealed, or comes as it comes."""
        for process in self.processes:
            if process.stdin is not None and not process.stdin.closed:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write("begin\n")
                    process.stdin.close()

    def check(self) -> None:
        """Measure them; WorkerDied when one has ended."""
        for process in self.processes:
            if process.poll() is not None:
                raise WorkerDied(
                    f"a worker ended with code {process.returncode}; go on with: doa demo --resume"
                )
            with contextlib.suppress(psutil.Error):
                rss = psutil.Process(process.pid).memory_info().rss / 1e6
                self.rss_mb_max = max(self.rss_mb_max, rss)

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """While they stand still."""
        for process in self.processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in self.processes:
                process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Let them commit and leave; kill those that do not."""
        self.begin()
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + WORKER_STOP_S
        for process in self.processes:
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def load(replay: Replay, state: State, tick: Callable[[], None]) -> float:
    """Wait until all events are written and sealed; the seconds it took."""
    began = time.monotonic()
    state.phase = "load"
    while replay.running:
        tick()
        replay.thread.join(POLL_S)
    return time.monotonic() - began


def process(
    topology: Topology,
    connection: Connection,
    workers: Workers,
    replay: Replay,
    board: watch.ScoreBoard,
    state: State,
    tick: Callable[[], None],
) -> float:
    """Watch until everything that was written has been processed; the seconds it took."""
    flow = topology.flow(FLOW)
    began = time.monotonic()
    state.phase = "process"
    ends = None if replay.running else watch.sealed_ends(flow, connection)
    for _ in _ticks():
        workers.check()
        board.refresh()
        done = watch.committed(flow, connection)
        if ends is None and not replay.running:
            ends = watch.sealed_ends(flow, connection)
        state.seconds = time.monotonic() - began
        state.done = sum(done.values())
        state.total = sum(ends.values()) if ends else max(state.loaded, state.done)
        tick()
        if ends is not None and all(done.get(place, 0) >= end for place, end in ends.items()):
            break
    seconds = time.monotonic() - began
    while board.refresh(SCORES_WAIT_S):
        pass
    return seconds


def _ticks() -> Iterator[None]:
    while True:
        yield
        time.sleep(POLL_S)
