"""The hot modules of `streams` as C extensions, which mypyc makes of the same source.

They are optional: without a C compiler, or after an edit, Python runs the source itself, and what
it writes is the same to the byte (`tests/system/test_compiled.py`). They lie outside the source, in
a folder that is named after what they were made of, so that none is ever older than its source.

References
----------
mypyc, https://mypyc.readthedocs.io
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import streams
from streams.errors import StreamsError

ROOT = Path(__file__).parents[1]
HOT = (
    "clients",
    "codec",
    "compiled_decoder",
    "compiled_encoder",
    "edge",
    "intake",
    "lineage",
    "merge",
    "moment",
    "partition",
    "seen",
    "steps",
    "straight",
    "tables",
    "taken",
    "transaction",
    "unit",
    "varint",
)
READ = ("schemas", "streams", "pyproject.toml")  # what mypyc has to see
WORDS_TOLD = 1_000


class NotCompiled(StreamsError):
    """The compiler is missing, or does not take the source."""


def folder() -> Path:
    """Where the extensions of this source, for this Python, are or would be."""
    digest = hashlib.sha256(str(sys.implementation.cache_tag).encode())
    for name in HOT:
        digest.update((ROOT / "streams" / f"{name}.py").read_bytes())
    return ROOT / ".doa" / "compiled" / digest.hexdigest()[:16]


def prefer(place: Path | None = None) -> bool:
    """Have them imported in place of the source, if they were made; before any of it is."""
    place = place or folder()
    if not place.is_dir():
        return False
    streams.__path__.insert(0, str(place / "streams"))
    sys.path.append(str(place))  # what they share
    return True


def preferred() -> bool:
    """Whether this process runs them."""
    return len(streams.__path__) > 1


def compile_hot(place: Path | None = None) -> Path:
    """Make them, unless they are there; NotCompiled says what is missing."""
    place = place or folder()
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="making.") as name:
        source, made = Path(name) / "source", Path(name) / "made"
        source.mkdir()
        for one in READ:
            if (ROOT / one).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / one, source / one, ignore=ignored)
            else:
                shutil.copy(ROOT / one, source / one)
        _run_mypyc(source)
        for extension in [*source.glob("*.so"), *source.glob("streams/*.so")]:
            to = made / extension.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(extension, to)
        if not place.is_dir():  # else another was quicker
            made.rename(place)
    return place


def remove() -> None:
    """Forget all that were ever made."""
    shutil.rmtree(folder().parent, ignore_errors=True)


def _run_mypyc(source: Path) -> None:
    command = [sys.executable, "-m", "mypyc", *(f"streams/{name}.py" for name in HOT)]
    done = subprocess.run(
        command, cwd=source, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-WORDS_TOLD:]
        raise NotCompiled(
            "mypyc failed; it needs a C compiler and Python's headers (Debian: apt-get install gcc "
            f"python3-dev). Without them doa works as well, but slower. It said:\n{words}"
        )
