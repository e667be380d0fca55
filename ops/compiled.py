"""The hot modules of `streams` as C extensions, which mypyc makes of the same source; and the
functions that are generated for each record class, which it makes of the same text or, for codecs,
of one of its own.

They are optional: without a C compiler, or after an edit, Python runs the source itself, and what
it writes is the same to the byte (`tests/system/test_compiled.py`). They lie outside the source, in
a folder that is named after what they were made of, so that none is ever older than its source.

References
----------
mypyc, https://mypyc.readthedocs.io
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
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
    "fold_step",
    "intake",
    "learner_step",
    "lineage",
    "merge",
    "moment",
    "partition",
    "plan",
    "seen",
    "step",
    "straight",
    "tables",
    "taken",
    "timers",
    "transaction",
    "unit",
    "varint",
)
READ = ("schemas", "streams", "pyproject.toml")  # what mypyc has to see
BENCHED = "ops.bench.hop", "ops.bench.keyed", "ops.bench.wide"  # what benchmarks run
WORDS_TOLD = 1_000


class NotCompiled(StreamsError):
    """The compiler is missing, or does not take the source."""


def folder() -> Path:
    """Where the extensions of this source, for this Python and this librt, are or would be."""
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {_librt()}".encode())
    for name in HOT:
        digest.update((ROOT / "streams" / f"{name}.py").read_bytes())
    return ROOT / ".doa" / "compiled" / digest.hexdigest()[:16]


def _librt() -> str | None:
    """The version of mypyc's runtime library, which extensions ask for as they were made for it."""
    with contextlib.suppress(PackageNotFoundError):
        return version("librt")
    return None


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
    if not place.is_dir():
        with _making(place) as (source, made):
            for one in READ:
                if (ROOT / one).is_dir():
                    ignored = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(ROOT / one, source / one, ignore=ignored)
                else:
                    shutil.copy(ROOT / one, source / one)
            _run_mypyc(source, [f"streams/{name}.py" for name in HOT])
            _move_extensions(source, made)
            if not place.is_dir():  # else another was quicker
                made.rename(place)
    return place


def compile_codecs(packages: Iterable[str], place: Path | None = None) -> int:
    """Make the codecs of these packages' flows, beside the modules; how many were missing."""
    return compile_texts(codec_texts(packages), place or folder())


def compile_texts(texts: Mapping[str, str], place: Path) -> int:
    """Make extensions of these texts, by the names of their modules; how many were missing."""
    missing = {name: text for name, text in texts.items() if not list(place.glob(f"{name}.*"))}
    if missing:
        with _making(place) as (source, _):
            for name, text in missing.items():
                (source / f"{name}.py").write_text(f"{text}\n", encoding="utf-8")
            _run_mypyc(source, [f"{name}.py" for name in missing])
            _move_extensions(source, place)
    return len(missing)


def codec_texts(packages: Iterable[str]) -> dict[str, str]:
    """What is generated for the records of these packages' flows, by the names of the modules."""
    from schemas import generated
    from schemas.fill import compile_fill
    from schemas.rules import classes_in
    from streams.codec import MemoryRegistry
    from streams.plan import Plan
    from streams.topology import discover

    for package in packages:  # each by itself: two of them may have flows of one name
        for flow in discover([package]).flows.values():
            for codec in Plan(flow, MemoryRegistry()).subjects().values():
                codec.register()
                for model in classes_in(codec.record).values():
                    compile_fill(model)
    return dict(generated.texts)


@contextlib.contextmanager
def _making(place: Path) -> Iterator[tuple[Path, Path]]:
    """Folders for sources and for what is made of them, beside the place where that shall lie."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="making.") as name:
        source, made = Path(name) / "source", Path(name) / "made"
        source.mkdir()
        made.mkdir()
        yield source, made


def _move_extensions(source: Path, to: Path) -> None:
    """The modules last: each is found by its name, and needs what all of them share."""
    found = [*source.glob("*.so"), *source.glob("streams/*.so")]
    for extension in sorted(found, key=lambda one: "__mypyc" not in one.name):
        place = to / extension.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(extension, place)


def remove() -> None:
    """Forget all that were ever made."""
    shutil.rmtree(folder().parent, ignore_errors=True)


def _run_mypyc(source: Path, files: Sequence[str]) -> None:
    command = [sys.executable, "-m", "mypyc", *files]
    done = subprocess.run(
        command, cwd=source, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-WORDS_TOLD:]
        raise NotCompiled(
            "mypyc failed; it needs a C compiler and Python's headers (Debian: apt-get install gcc "
            f"python3-dev). Without them doa works as well, but slower. It said:\n{words}"
        )
