"""Run a fuzz campaign in a child process, and say what came of it: its death is a result, too."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

STDERR_KEPT = 2_000
CHILD = ("-m", "ops.fuzz.child")


def fuzz(
    seed: int,
    cases: int,
    packages: tuple[str, ...],
    first: int = 0,
    progress: Callable[[dict[str, int]], None] = lambda so_far: None,
    child_program: tuple[str, ...] = CHILD,
) -> dict[str, Any]:
    """Run cases from number `first` on. The answer is good when `crashes`, `slow` and
    `outcomes["WRONG"]` are none.
    """
    began = time.monotonic()
    with tempfile.NamedTemporaryFile() as place, tempfile.TemporaryFile("w+") as said:
        place.write(bytes(8))
        place.flush()
        arguments = [str(seed), str(first), str(cases), place.name, *packages]
        child = subprocess.Popen(
            [sys.executable, *child_program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        result: dict[str, Any] = {}
        try:
            assert child.stdout is not None
            for line in child.stdout:
                result = json.loads(line)
                if "done" in result:
                    progress(result)
        finally:
            child.kill()
            child.communicate()
        crashes = []
        if "outcomes" not in result:
            said.seek(0)
            place.seek(0)
            number = struct.unpack("<q", place.read(8))[0]
            crashes = [
                {"case": number, "exit": child.returncode, "said": said.read()[-STDERR_KEPT:]}
            ]
            result = {"outcomes": {}, "faults": [], "slow": 0}
    seconds = round(time.monotonic() - began, 1)
    return (
        {"cases": cases, "seed": seed, "first": first, "crashes": crashes}
        | result
        | {"seconds": seconds}
    )


def failed(result: dict[str, Any]) -> bool:
    """Whether a campaign found anything."""
    return bool(result["crashes"] or result["slow"] or result["outcomes"].get("WRONG"))
