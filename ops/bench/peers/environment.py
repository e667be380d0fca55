"""Where each peer runs: a venv of its own with what its lock says, or a class path with Java's.

Made when first asked for, under the home of this checkout; made anew when a lock has changed.
`python -m ops.bench.peers.environment` resolves the jars again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from ops.output import say
from ops.stack.cache import missing
from ops.stack.download import fetch
from ops.stack.home import default_cache
from ops.stack.java import find_java
from ops.stack.lock import KAFKA_VERSION, Artifact, measure
from ops.stack.progress import stderr_progress
from streams.errors import StreamsError

HERE = Path(__file__).parent
JARS_PATH = HERE / "kafka_streams.lock.json"
JAVA_SOURCE = HERE / "KafkaStreamsHop.java"
COMPILER = "org.eclipse.jdt:ecj"  # a JDK in a wheel has no compiler of its own
WANTED = (
    f"org.apache.kafka:kafka-streams:{KAFKA_VERSION}",
    "org.apache.avro:avro:1.12.1",
    "org.slf4j:slf4j-simple:2.0.17",
    f"{COMPILER}:3.43.0",
)
JAVA_RELEASE = 21
DONE = "done"  # holds the digest of what an environment was made from


def python_of(name: str, home: Path) -> Path:
    """The interpreter of a peer that `<name>.lock` describes."""
    lock = HERE / f"{name}.lock"
    place = home / name
    python = place / "bin" / "python"
    if _is_made(place, [lock]):
        return python
    say(f"installing {name} and what it needs")
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=True, symlinks=True)
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes"]
    run([str(python), "-m", "pip", "install", *options, "-r", str(lock)], f"installing {name}")
    _note_made(place, [lock])
    return python


def java_of(home: Path) -> list[str]:
    """The command of the peer in Java."""
    jars = [Artifact(**one) for one in json.loads(JARS_PATH.read_text(encoding="utf-8"))]
    cache, java = default_cache(), str(find_java().path)
    if absent := missing(jars, cache):
        fetch(absent, cache, stderr_progress())
    paths = {one.coordinate: str(cache / one.path) for one in jars}
    place = home / "kafka_streams"
    class_path = os.pathsep.join([*paths.values(), str(place)])
    if not _is_made(place, [JARS_PATH, JAVA_SOURCE]):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        compiler = next(path for name, path in paths.items() if name.startswith(COMPILER))
        options = ["-source", str(JAVA_RELEASE), "-target", str(JAVA_RELEASE), "-nowarn"]
        where = ["-cp", class_path, "-d", str(place)]
        run([java, "-jar", compiler, *options, *where, str(JAVA_SOURCE)], "compiling the peer")
        _note_made(place, [JARS_PATH, JAVA_SOURCE])
    return [java, "-cp", class_path, JAVA_SOURCE.stem]


def resolve_jars(cache: Path) -> list[Artifact]:
    """Resolve what is wanted with jgo, download it, and measure it; of two versions the newer."""
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=cache)
    found = []
    for coordinate in WANTED:  # one at a time: see ops.stack.lock
        for part in context.resolver.resolve([context.create_dependency(coordinate)]):
            found += [measure(dependency.artifact) for dependency in part]
    newest: dict[str, Artifact] = {}
    for one in sorted(found, key=lambda one: _numbers(one.coordinate.split(":")[-1])):
        newest[one.coordinate.rpartition(":")[0]] = one
    return sorted(newest.values(), key=lambda one: one.coordinate)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _digest(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _is_made(place: Path, files: Iterable[Path]) -> bool:
    done = place / DONE
    return done.exists() and done.read_text(encoding="utf-8") == _digest(files)


def _note_made(place: Path, files: Iterable[Path]) -> None:
    (place / DONE).write_text(_digest(files), encoding="utf-8")


def run(command: list[str], what: str) -> str:
    """What a command prints; StreamsError when it fails."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise StreamsError(f"{what} failed: {(ended.stderr or ended.stdout).strip()[-1_000:]}")
    return ended.stdout


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        resolved = [asdict(one) for one in resolve_jars(Path(directory))]
    JARS_PATH.write_text(json.dumps(resolved, indent=1) + "\n", encoding="utf-8")
    print(f"{len(resolved)} jars", file=sys.stderr)
