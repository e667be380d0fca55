"""What a stack remembers of itself between two starts: `stack.json` in its home.

It holds the ports, the cluster id, and the versions that wrote the data: the stamp that keeps
another version from reading it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ops.stack.errors import Busy, ForeignData
from ops.stack.kafka import new_cluster_id
from ops.stack.lock import Lock
from ops.stack.ports import CONTROLLER_PORT, KAFKA_PORT, REGISTRY_PORT, choose_port
from ops.whole import write_whole
from streams.errors import NotWritten

FORMAT = 1
PROJECT = "doa"


@dataclass(frozen=True)
class Ports:
    """The three ports of one stack."""

    kafka: int
    controller: int
    registry: int


@dataclass(frozen=True)
class Memory:
    """The content of `stack.json`."""

    format: int
    kafka_version: str
    registry_version: str
    cluster_id: str
    ports: Ports


def default_home() -> Path:
    """Return `.doa/stack` of the checkout that `ops` is installed from, else of the work folder."""
    for folder in Path(__file__).resolve().parents:
        project = folder / "pyproject.toml"
        if project.is_file():
            named = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
            if named.get("name") == PROJECT:
                return folder / ".doa" / "stack"
    return Path.cwd() / ".doa" / "stack"


def default_cache() -> Path:
    """Return the user's directory of jars, which all checkouts share."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / PROJECT / "jars"


def recall(home: Path) -> Memory | None:
    """Read what an earlier start wrote; ports that were deleted by hand read as zeros."""
    path = memory_path(home)
    try:
        if not path.exists():
            if (home / "kafka" / "data").exists():
                raise _unreadable(path, "is missing beside its data")
            return None
        raw = json.loads(path.read_text(encoding="utf-8"))
        ports = Ports(**raw.pop("ports", {"kafka": 0, "controller": 0, "registry": 0}))
        return Memory(**raw, ports=ports)
    except OSError as error:
        told = f"{path} cannot be read: {error.strerror}"
        raise ForeignData(told, "run doa as its owner, or set DOA_HOME") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise _unreadable(path, "cannot be read") from error


def begin(home: Path, cache: Path, lock: Lock) -> Memory:
    """Return the memory of this home: made at the first start, checked and renewed later."""
    memory = recall(home)
    if memory is None:
        ports = _choose_ports(home, cache)
        memory = Memory(FORMAT, lock.kafka_version, lock.registry_version, new_cluster_id(), ports)
    check_versions(memory, lock, home)
    if not memory.ports.kafka:
        memory = replace(memory, ports=_choose_ports(home, cache))
    memory = replace(
        memory, kafka_version=lock.kafka_version, registry_version=lock.registry_version
    )
    write_whole(memory_path(home), json.dumps(asdict(memory), indent=1) + "\n")
    write_whole(
        _homes_path(cache), "".join(f"{one}\n" for one in sorted({*_homes(cache), str(home)}))
    )
    return memory


def check_versions(memory: Memory, lock: Lock, home: Path) -> None:
    """Refuse data of a newer or of another major version: only a small step up needs no plan."""
    if memory.format != FORMAT:
        raise ForeignData(
            f"{memory_path(home)} has format {memory.format}, this doa writes format {FORMAT}",
            "use the doa that wrote it, or delete the data with `doa down --wipe`",
        )
    pairs = (
        ("Kafka", memory.kafka_version, lock.kafka_version),
        ("the registry", memory.registry_version, lock.registry_version),
    )
    for name, theirs, ours in pairs:
        if _numbers(theirs) > _numbers(ours) or _numbers(theirs)[0] != _numbers(ours)[0]:
            raise ForeignData(
                f"{home} holds data of {name} {theirs}, this doa runs {ours}",
                "use the doa that wrote it, or delete the data with `doa down --wipe`",
            )


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file, which the system frees however the process ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = path.open("w", encoding="utf-8")
    except OSError as error:
        raise NotWritten.because(path, error) from error
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(
                f"another doa is {what}", "wait until it has ended, then try again"
            ) from error
        yield


def memory_path(home: Path) -> Path:
    """Return the path of `stack.json`."""
    return home / "stack.json"


def _choose_ports(home: Path, cache: Path) -> Ports:
    """Choose ports that are free now, and that no other home of this user keeps for itself."""
    reserved: set[int] = set()
    for other in set(_homes(cache)) - {str(home)}:
        # Another home that is broken has its own error, when it is used.
        with contextlib.suppress(ForeignData):
            if memory := recall(Path(other)):
                reserved |= set(asdict(memory.ports).values())
    kafka = choose_port(KAFKA_PORT, reserved)
    controller = choose_port(CONTROLLER_PORT, reserved | {kafka})
    return Ports(kafka, controller, choose_port(REGISTRY_PORT, reserved))


def _homes_path(cache: Path) -> Path:
    return cache / "homes.txt"


def _homes(cache: Path) -> list[str]:
    path = _homes_path(cache)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line for line in lines if memory_path(Path(line)).exists()]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _unreadable(path: Path, how: str) -> ForeignData:
    return ForeignData(
        f"{path} {how}", "restore it, or delete the data with `doa down --wipe` and start anew"
    )
