"""The engines that run the hop: ours, and those that users would pick instead."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from ops.bench.peers import environment
from ops.stack.lock import KAFKA_VERSION

ROOT = Path(__file__).parents[2]
PACKAGE = "ops.bench.hop"
PEERS = "ops.bench.peers"
END_S = 15.0
LOG_TOLD = 2_000

Command = Callable[[Path], list[str]]


@dataclass(frozen=True)
class Engine:
    """How to start it, given where environments are, and which package's version is its own."""

    name: str
    guarantee: str
    command: Command
    package: str | None

    def version(self, home: Path) -> str:
        """The version of its package, as its own environment has it."""
        if self.package is None:
            return KAFKA_VERSION
        asked = f"import importlib.metadata as m; print(m.version({self.package!r}))"
        python = self.command(home)[0]
        return environment.run([python, "-c", asked], f"asking for {self.package}").strip()


def worker(slot: int, package: str = PACKAGE) -> list[str]:
    """The command of a worker of ours, for the flow that a package is."""
    flow = package.rsplit(".", 1)[-1]
    return [sys.executable, "-m", "ops", "--app", package, "worker", flow, "--slot", str(slot)]


def _ours(*arguments: str) -> Command:
    return lambda home: [sys.executable, "-m", *arguments]


def _theirs(environment_name: str, *arguments: str) -> Command:
    return lambda home: [
        str(environment.python_of(environment_name, home)),
        "-m",
        *arguments,
    ]


DOA = Engine("doa", "exactly once", lambda home: worker(0), "doa")
AT_LEAST, EXACTLY = "at least once", "exactly once"
KEYED_LOOP = Engine("keyed_loop", AT_LEAST, _ours(f"{PEERS}.loop_keyed"), "confluent-kafka")
ENGINES = {
    engine.name: engine
    for engine in (
        DOA,
        Engine("confluent_loop", AT_LEAST, _ours(f"{PEERS}.loop_hop"), "confluent-kafka"),
        Engine(
            "faust",
            AT_LEAST,
            _ours(f"{PEERS}.faust_hop", "worker", "-l", "error", "--without-web"),
            "faust-streaming",
        ),
        Engine(
            "quix_at_least_once",
            AT_LEAST,
            _theirs("quix", f"{PEERS}.quix_hop", "at-least-once"),
            "quixstreams",
        ),
        Engine(
            "quix_exactly_once",
            EXACTLY,
            _theirs("quix", f"{PEERS}.quix_hop", "exactly-once"),
            "quixstreams",
        ),
        Engine(
            "bytewax",
            "no recovery",
            _theirs("bytewax", "bytewax.run", f"{PEERS}.bytewax_hop:flow"),
            "bytewax",
        ),
        Engine("kafka_streams_exactly_once", EXACTLY, environment.java_of, None),
    )
}


class Running:
    """Processes of an engine at work, and what they have cost so far."""

    def __init__(self, commands: list[list[str]], settings: dict[str, str], log: Path) -> None:
        self._commands = commands
        self._environment = {**os.environ, "PYTHONHASHSEED": "0", **settings}
        self._log = log
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Running:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._log.open("wb") as output:
                for command in self._commands:
                    self._start(command, output)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self, command: list[str], output: IO[bytes]) -> None:
        self._processes.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        )

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(END_S)
            except BaseException as error:  # a second Ctrl-C as well
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise

    @property
    def ended(self) -> str | None:
        """What was said last, if one has ended by itself; None while all run."""
        if all(process.poll() is None for process in self._processes):
            return None
        return self._log.read_text(errors="replace")[-LOG_TOLD:]

    def cpu_s(self) -> float:
        """CPU seconds of the processes and their children."""
        total = 0.0
        for started in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):  # the next look tells what ended
                root = psutil.Process(started.pid)
                total += sum(map(cpu_of, (root, *root.children(recursive=True))))
        return total

    def first_threads_s(self) -> float:
        """CPU seconds of the processes' first threads, on Linux, which numbers them so."""
        total = 0.0
        for started in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                threads = psutil.Process(started.pid).threads()
                total += sum(t.user_time + t.system_time for t in threads if t.id == started.pid)
        return total


def cpu_of(process: psutil.Process) -> float:
    """CPU seconds of a process alone."""
    times = process.cpu_times()
    return float(times.user + times.system)
