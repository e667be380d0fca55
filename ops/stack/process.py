"""A server process that outlives the command that started it: spawned, found again, ended gently.

The process is known by a file with its pid and creation time; a pid alone may belong to another
process by now.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from ops.stack.errors import StartFailed
from ops.whole import write_whole

STOP_SECONDS_MAX = 20
KILL_SECONDS_MAX = 5
# Clock ticks and the start of the system are both rounded when a creation time is read.
CREATED_SECONDS_TOLERANCE = 2.0


@dataclass(frozen=True)
class Server:
    """Name and files of one server process."""

    name: str
    home: Path

    @property
    def output(self) -> Path:
        """What the process writes to stdout and stderr: warnings of the JVM, and its last words."""
        return self.home / "output.log"

    @property
    def pid_file(self) -> Path:
        """Pid and creation time of the process."""
        return self.home / "pid.json"


def spawn(server: Server, command: list[str]) -> psutil.Process:
    """Start the command in a session of its own, and write its pid file."""
    server.home.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    pid = os.posix_spawn(
        command[0],
        command,
        environment(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(server.output), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    process = psutil.Process(pid)
    pid_file = {"pid": pid, "created": process.create_time()}
    write_whole(server.pid_file, json.dumps(pid_file))
    return process


def environment() -> dict[str, str]:
    """Pass on nothing that could change a setting: Kafka, registry and JVM all read variables."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    # A file name beyond ASCII needs a locale that can spell it.
    return {**kept, "LC_ALL": "C.UTF-8"}


def find(server: Server) -> psutil.Process | None:
    """Return the running process; a pid file of a dead or another process is deleted."""
    try:
        pid_file = json.loads(server.pid_file.read_text(encoding="utf-8"))
        process = psutil.Process(int(pid_file["pid"]))
        same = abs(process.create_time() - pid_file["created"]) < CREATED_SECONDS_TOLERANCE
        if same and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (psutil.NoSuchProcess, ValueError, KeyError, TypeError):
        pass
    server.pid_file.unlink(missing_ok=True)
    return None


def stop(server: Server) -> bool:
    """End the process: ask, wait, then kill. Return whether there was one."""
    process = find(server)
    if process is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(KILL_SECONDS_MAX)
    server.pid_file.unlink(missing_ok=True)
    return True


def explain(server: Server, problem: str, log: Path) -> StartFailed:
    """Return the error of a failed start, with the last line of the log that says why."""
    lines = [line for path in (log, server.output) for line in _lines(path)]
    telling = [line for line in lines if "ERROR" in line or "Exception" in line or "Error" in line]
    cause = (telling or lines or ["it wrote nothing"])[-1].strip()[:300]
    return StartFailed(
        f"{server.name} {problem}: {cause}", f"read the logs in {server.home}, then run `doa up`"
    )


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("\tat ")]
