"""A wall clock for each worker that a case can put forth and back; needs libfaketime.

The monotonic clock, as in life, does not jump.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from functools import cache
from pathlib import Path

from ops.chaos.ground import Ground
from ops.chaos.worker import SHOWN
from streams.errors import StreamsError

FAKETIME = "libfaketime.so.1"
FOLDERS = ("/usr/lib", "/usr/local/lib")
COMPILER = "cc"
COMPILE_SECONDS_MAX = 60
WAITS = Path(__file__).with_name("c11_waits.c")


def with_a_clock(ground: Ground, slot: int) -> dict[str, str]:
    """Let a worker's wall clock go by a file, and its timed waits by that clock."""
    clock = clock_of(ground, slot)
    clock.parent.mkdir(exist_ok=True)
    clock.write_text("+0", encoding="utf-8")
    return {
        "LD_PRELOAD": f"{_waits(clock.parent)}:{_faketime()}",
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def clock_of(ground: Ground, slot: int) -> Path:
    """The file by which a worker's clock goes: `+1h` is an hour from now."""
    return ground.folder / "clocks" / str(slot)


def ahead_s(ground: Ground, slot: int) -> float:
    """By how much the clock of a worker is ahead of ours, as the worker itself has shown it."""
    shown = clock_of(ground, slot).with_suffix(SHOWN)
    text = shown.read_text(encoding="utf-8") if shown.exists() else ""
    return float(text) - time.time() if text else 0.0


def lacks_clock() -> str | None:
    """What to do where clocks cannot be faked."""
    if _faketime() is None:
        return f"needs {FAKETIME}, which is not installed (apt-get install faketime)"
    if shutil.which(COMPILER) is None:
        return f"needs a C compiler, {COMPILER}, which is not installed (apt-get install gcc)"
    return None


@cache
def _faketime() -> Path | None:
    return next((p for folder in FOLDERS for p in sorted(Path(folder).rglob(FAKETIME))), None)


def _waits(folder: Path) -> Path:
    library = folder / WAITS.with_suffix(".so").name
    if not library.exists():
        command = [COMPILER, "-shared", "-fPIC", "-O1", "-o", str(library), str(WAITS)]
        try:
            subprocess.run(command, check=True, timeout=COMPILE_SECONDS_MAX)
        except subprocess.SubprocessError as error:
            raise StreamsError(f"{WAITS.name} was not compiled: {error}") from error
    return library
