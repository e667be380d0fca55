"""The workers of a campaign: one process per slot, told by its environment where everything is."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Container, Sequence
from pathlib import Path

from ops.chaos.ground import Ground, wait_until
from streams.errors import StreamsError

END_S = 60.0
LOG_LINES_TOLD = 3
FENCED_CODE = 1
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
        self.slots: set[int] = set()  # all that were ever started
        self._program = program
        self._surroundings = surroundings
        self._started = 0
        self._logs = ground.folder / "worker-logs" / name
        self._logs.mkdir(parents=True, exist_ok=True)
        settings = ground.connection.settings
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("DOA_")},
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
        with self.log(self._started).open("wb") as log:
            process = subprocess.Popen(
                [*self._program, *apps, "worker", self.ground.flow.name, "--slot", str(slot)],
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

    def log(self, number: int) -> Path:
        """Where the worker that was started as so-manieth says what it has to say."""
        return self._logs / f"{number}.log"

    def kill(self, slot: int) -> float:
        """Kill -9; when that was."""
        process = self.running.pop(slot)
        process.kill()
        process.wait()
        return time.time()

    def suspend(self, slot: int) -> float:
        """Let it hold its breath; when that was. What becomes of it is open from now on."""
        at = time.time()
        self._suspended[slot] = self.running.pop(slot)
        self._suspended[slot].send_signal(signal.SIGSTOP)
        return at

    def wake(self, slot: int) -> None:
        """Let it go on, as if nothing had happened."""
        self._suspended[slot].send_signal(signal.SIGCONT)

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

    def stop(self, slot: int) -> float:
        """Ask it to end; when that was."""
        at = time.time()
        process = self.running.pop(slot)
        process.terminate()
        self._ended(process, *ASKED_CODES)
        return at

    def fenced(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for a worker to say that another one has its slot."""
        self._ended(process, FENCED_CODE)

    def check(self) -> bool:
        """True while all live; WorkerDied tells the last words of one that does not."""
        for slot, process in self.running.items():
            if process.poll() is not None:
                raise WorkerDied(f"the worker of slot {slot} {self._said(process)}")
        return True

    def stop_all(self) -> None:
        """Ask all to end, and demand that they do so in peace."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            self._ended(process, *ASKED_CODES)
        self.running.clear()

    def clean_up(self) -> None:
        """Kill whatever is left."""
        for process in self._all:
            if process.poll() is None:
                process.kill()
                process.wait()

    def _ended(self, process: subprocess.Popen[bytes], *codes: int) -> None:
        wait_until("a worker's end", lambda: process.poll() is not None, END_S)
        if process.returncode not in codes:
            raise WorkerDied(f"a worker that should have ended with {codes} {self._said(process)}")

    def _said(self, process: subprocess.Popen[bytes]) -> str:
        path = self.log(process.log_number)  # type: ignore[attr-defined]
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        words = " / ".join(lines[-LOG_LINES_TOLD:]) or "without a word"
        return f"ended with {process.returncode}: {words}"
