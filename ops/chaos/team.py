"""The workers of a campaign: per slot a process that stands by and one that works, told by their
environment where everything is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Container, Sequence
from pathlib import Path

import psutil

from ops.chaos.ground import Ground, wait_until
from ops.supervisor import AGAIN
from streams.errors import StreamsError

END_S = 60.0
LOG_LINES_TOLD = 3
FENCED_CODE, FENCED_TEXT = 1, "another worker has taken over"
ASKED_CODES = (0, -signal.SIGTERM)  # the latter while it has just begun and loads its host


class WorkerDied(StreamsError):
    """A worker ended although nobody had asked it to."""


class Team:
    """Starts, stops and torments workers. `program` is what `doa` is called by."""

    def __init__(
        self,
        ground: Ground,
        program: Sequence[str],
        environment: dict[str, str],
        surroundings: Callable[[Ground, int], dict[str, str]],
        name: str,
    ) -> None:
        self.ground = ground
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self._suspended: dict[int, subprocess.Popen[bytes]] = {}
        self._kills: Counter[int] = Counter()  # of the one that works, by who stands by
        self.slots: set[int] = set()  # all that were ever started
        self._program = program
        self._surroundings = surroundings
        self._started = 0
        self._logs = ground.folder / "worker-logs" / name
        self._logs.mkdir(parents=True, exist_ok=True)
        settings = ground.connection.settings
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.upper().startswith("DOA_")},
            "DOA_BOOTSTRAP": str(settings.bootstrap),
            "DOA_REGISTRY_URL": ground.proxied_registry,
            "DOA_NAMESPACE": settings.namespace,
            "DOA_HOME": str(ground.folder),
            "PYTHONHASHSEED": "0",
            **environment,
        }
        self._all: list[subprocess.Popen[bytes]] = []

    def start(self, slot: int) -> None:
        """Start the worker of a slot; one that runs is from now on a rival, and nobody's."""
        self._started += 1
        apps = [a for p in self.ground.topology.packages[1:] for a in ("--app", p)]
        asked = ["worker", self.ground.flow.name, "--slot", str(slot), "--restart"]
        with self.log(self._started).open("wb") as log:
            process = subprocess.Popen(
                [*self._program, *apps, *asked],
                env={**self._environment, **self._surroundings(self.ground, slot)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process.log_number = self._started  # type: ignore[attr-defined]
        self.running[slot] = process
        self._all.append(process)
        self.slots.add(slot)

    def workers(self) -> dict[int, psutil.Process] | None:
        """By slot the processes that work, forks of those that were started; None until all do."""
        found = {slot: self._worker(process) for slot, process in self.running.items()}
        working = {slot: worker for slot, worker in found.items() if worker}
        return working if len(working) == len(found) else None

    def log(self, number: int) -> Path:
        """Where the worker that was started as so-manieth says what it has to say."""
        return self._logs / f"{number}.log"

    def words(self) -> list[str]:
        """What all of them have said."""
        logs = sorted(self._logs.glob("*.log"))
        return [line for log in logs for line in log.read_text(errors="replace").splitlines()]

    def kill(self, slot: int) -> float:
        """Kill -9 all of a slot; when that was."""
        self._kill(self.running.pop(slot))
        return time.time()

    def restart(self, slot: int) -> float:
        """Kill -9 the one that works, so that who stands by starts another; when that was."""
        worker = self._working(slot)
        worker.kill()
        at = time.time()
        worker.wait(END_S)
        self._kills[self.running[slot].pid] += 1
        return at

    def suspend(self, slot: int) -> float:
        """Let it hold its breath; when that was. What becomes of it is open from now on."""
        at = time.time()
        self._working(slot).suspend()
        self._suspended[slot] = self.running.pop(slot)
        return at

    def wake(self, slot: int) -> None:
        """Let it go on, as if nothing had happened."""
        worker = self._worker(self._suspended[slot])
        if worker is not None:
            worker.resume()

    def back(self, slot: int, members: Container[int]) -> bool:
        """Whether one that was suspended is a member again; one that was fenced is replaced."""
        process = self._suspended.get(slot)
        if process is None:
            return slot in members
        if process.poll() is not None:
            self.fenced(process)
            del self._suspended[slot]
            self.start(slot)
        elif slot in members:
            self.running[slot] = self._suspended.pop(slot)
        return slot in members and slot in self.running

    def stop(self, *slots: int) -> float:
        """Ask them to end, and demand that they do so in peace; when they were asked."""
        at = time.time()
        processes = [self.running.pop(slot) for slot in slots]
        for process in processes:
            process.terminate()
        for process in processes:
            self._ended(process, *ASKED_CODES)
        return at

    def fenced(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for a worker to end and say that another one has its slot."""
        self._ended(process, FENCED_CODE)
        if FENCED_TEXT not in self._log_of(process):
            raise WorkerDied(f"a worker that should have been fenced {self._said(process)}")

    def check(self) -> bool:
        """True while all live; WorkerDied tells the last words of one that does not."""
        for slot, process in self.running.items():
            deaths = self._log_of(process).count(AGAIN)
            if process.poll() is not None or deaths > self._kills[process.pid]:
                raise WorkerDied(f"the worker of slot {slot} {self._said(process)}")
        return True

    def clean_up(self) -> None:
        """Kill whatever is left."""
        for process in self._all:
            if process.poll() is None:
                self._kill(process)

    def _working(self, slot: int) -> psutil.Process:
        worker = self._worker(self.running[slot])
        if worker is None:
            raise WorkerDied(f"the worker of slot {slot} {self._said(self.running[slot])}")
        return worker

    def _worker(self, process: subprocess.Popen[bytes]) -> psutil.Process | None:
        """The fork of a process; another child of it is a helper of some library, for a moment."""
        if process.poll() is not None:
            return None
        with contextlib.suppress(psutil.Error):
            own = psutil.Process(process.pid)
            return next((w for w in own.children() if w.cmdline() == own.cmdline()), None)
        return None

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """Who stands by first, lest it start another."""
        worker = self._worker(process)
        process.kill()
        process.wait()
        if worker is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()

    def _ended(self, process: subprocess.Popen[bytes], *codes: int) -> None:
        wait_until("a worker's end", lambda: process.poll() is not None, END_S)
        if process.returncode not in codes:
            raise WorkerDied(f"a worker that should have ended with {codes} {self._said(process)}")

    def _log_of(self, process: subprocess.Popen[bytes]) -> str:
        path = self.log(process.log_number)  # type: ignore[attr-defined]
        return path.read_text(encoding="utf-8", errors="replace")

    def _said(self, process: subprocess.Popen[bytes]) -> str:
        lines = self._log_of(process).strip().splitlines()
        words = " / ".join(lines[-LOG_LINES_TOLD:]) or "without a word"
        return f"ended with {process.returncode}: {words}"
