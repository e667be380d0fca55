"""The embedded stack of one checkout: Kafka and the registry, handled as one thing."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import psutil

from ops.stack import kafka, registry
from ops.stack.cache import check_room, missing
from ops.stack.errors import StillRunning
from ops.stack.home import Memory, begin, default_cache, default_home, held, memory_path, recall
from ops.stack.java import Java, find_java
from ops.stack.kafka import Door
from ops.stack.lock import Artifact, Lock, read_lock
from ops.stack.ports import HOST, answers, check_free
from ops.stack.process import Server, explain, find, spawn, stop
from ops.stack.progress import Progress, stderr_progress

START_SECONDS_MAX = 90
POLL_SECONDS = 0.1
# An empty cluster takes a few MB, but one that fills the disk at once helps nobody.
DATA_BYTES_MIN = 256 * 1024 * 1024

__all__ = ["Endpoints", "ServerStatus", "Stack", "StackStatus", "default_home"]


@dataclass(frozen=True)
class Endpoints:
    """Where clients connect."""

    bootstrap: str
    registry_url: str


@dataclass(frozen=True)
class ServerStatus:
    """What one server is doing. A server that starts or hangs runs, but does not answer."""

    running: bool
    answering: bool
    pid: int | None
    port: int | None
    version: str
    data: str
    data_mb: float
    resident_mb: int | None


@dataclass(frozen=True)
class StackStatus:
    """Both servers; `endpoints` only when both answer."""

    kafka: ServerStatus
    registry: ServerStatus
    endpoints: Endpoints | None

    @property
    def up(self) -> bool:
        """Whether the stack can be used."""
        return self.endpoints is not None

    def as_dict(self) -> dict[str, object]:
        """Return it as what `-o json` prints: the only nested values are the two servers."""
        servers = {"kafka": asdict(self.kafka), "registry": asdict(self.registry)}
        endpoints = self.endpoints
        return {
            "up": self.up,
            "bootstrap": endpoints.bootstrap if endpoints else None,
            "registry_url": endpoints.registry_url if endpoints else None,
            **servers,
        }


class Stack:
    """Kafka and the registry in one home directory; the jars are in a cache all homes share."""

    def __init__(
        self,
        home: Path | None = None,
        *,
        cache: Path | None = None,
        lock: Lock | None = None,
        repository: str | None = None,
        door: Door | None = None,
    ) -> None:
        self.home = (home or default_home()).resolve()
        self.cache = (cache or default_cache()).resolve()
        self.lock = lock or read_lock()
        self._repository = repository
        self._door = door
        self.kafka_server = Server("Kafka", self.home / "kafka")
        self.registry_server = Server("the registry", self.home / "registry")

    def up(self, progress: Progress | None = None) -> Endpoints:
        """Download what is missing, start what is not running, return when both servers answer."""
        if (endpoints := self.status().endpoints) is not None:
            return endpoints
        progress = progress or stderr_progress()
        with held(self.home / "lock", f"starting or stopping the stack in {self.home}"):
            self._provide(progress)
            check_room(self.home, DATA_BYTES_MIN)
            return self._start(begin(self.home, self.cache, self.lock), progress)

    def down(self) -> bool:
        """End both servers, the registry first; return whether any was running. The data stays."""
        if not self.home.exists():
            return False
        with held(self.home / "lock", f"starting or stopping the stack in {self.home}"):
            return any([stop(self.registry_server), stop(self.kafka_server)])

    def wipe(self) -> None:
        """Delete topics, schemas, ports and logs of this home. The jars stay in the cache."""
        if find(self.kafka_server) or find(self.registry_server):
            raise StillRunning(f"the stack in {self.home} is running", "run `doa down` first")
        # By name: a home that was mistyped may hold something that is not ours.
        for server in (self.kafka_server, self.registry_server):
            shutil.rmtree(server.home, ignore_errors=True)
        memory_path(self.home).unlink(missing_ok=True)

    def status(self) -> StackStatus:
        """Look at both servers, without changing anything but a stale pid file."""
        memory = recall(self.home)
        kafka_port = memory.ports.kafka if memory else 0
        registry_port = memory.ports.registry if memory else 0
        broker = _look(
            self.kafka_server,
            kafka_port,
            self.lock.kafka_version,
            kafka.data_path(self.kafka_server),
        )
        schemas = _look(
            self.registry_server,
            registry_port,
            self.lock.registry_version,
            registry.data_path(self.registry_server),
        )
        both = broker.answering and schemas.answering
        return StackStatus(broker, schemas, _endpoints(memory) if both and memory else None)

    def missing(self) -> list[Artifact]:
        """Return what `up` would download."""
        absent = missing(self.lock.artifacts, self.cache)
        unpacked = registry.program_path(self.lock, self.cache).is_dir()
        return [one for one in absent if not (unpacked and one == self.lock.registry)]

    def _provide(self, progress: Progress) -> None:
        if not self.missing() and registry.program_path(self.lock, self.cache).is_dir():
            return
        with held(self.cache / "lock", f"downloading into {self.cache}"):
            absent = self.missing()
            if absent:
                # Imported here because whoever starts a worker would wait for it too.
                from ops.stack.download import fetch

                size = sum(one.bytes_count for one in absent)
                # The registry's archive and its content are there together for a moment.
                check_room(self.cache, size + self.lock.registry.bytes_count * 11 // 10)
                progress.say(
                    f"downloading Kafka {self.lock.kafka_version} and Apicurio Registry "
                    f"{self.lock.registry_version}, once: {len(absent)} files, "
                    f"{size / 1e6:.0f} MB, into {self.cache}"
                )
                fetch(absent, self.cache, progress, self._repository)
            if not registry.program_path(self.lock, self.cache).is_dir():
                registry.unpack(self.lock, self.cache)

    def _start(self, memory: Memory, progress: Progress) -> Endpoints:
        java, begun_at = find_java(), time.monotonic()
        # The registry first: it takes longer, and a new cluster is formatted meanwhile.
        servers = (
            (self.registry_server, memory.ports.registry, self._start_registry),
            (self.kafka_server, memory.ports.kafka, self._start_kafka),
        )
        running: list[_Start] = []
        spawned: list[_Start] = []
        try:
            for server, port, start in servers:
                if find(server) is None:
                    spawned.append(start(memory, java))
                else:
                    # An earlier `up` that was killed may have left it half way.
                    running.append(_Start(server, server.output, partial(answers, port)))
            _wait([*running, *spawned])
        except BaseException:
            # Half a stack, or one nobody waits for any more, would only be found by the next error.
            for start_of_ours in spawned:
                stop(start_of_ours.server)
            raise
        endpoints = _endpoints(memory)
        progress.say(
            f"Kafka {self.lock.kafka_version} at {endpoints.bootstrap}, registry "
            f"{self.lock.registry_version} at {endpoints.registry_url}, "
            f"after {time.monotonic() - begun_at:.1f} s on Java {java.version}"
        )
        return endpoints

    def _start_registry(self, memory: Memory, java: Java) -> _Start:
        server, port = self.registry_server, memory.ports.registry
        check_free("the registry", port, memory_path(self.home))
        registry.write_settings(server, port)
        spawn(server, registry.command(server, java, self.lock, self.cache))
        return _Start(server, registry.log_path(server), partial(registry.started, port))

    def _start_kafka(self, memory: Memory, java: Java) -> _Start:
        server, ports = self.kafka_server, memory.ports
        check_free("Kafka", ports.kafka, memory_path(self.home))
        check_free("Kafka's controller", ports.controller, memory_path(self.home))
        kafka.write_settings(server, ports.kafka, ports.controller, self._door)
        kafka.format_storage(server, java, self.lock, self.cache, memory.cluster_id)
        log = kafka.log_path(server)
        log_start = log.stat().st_size if log.exists() else 0
        spawn(server, kafka.command(server, java, self.lock, self.cache))
        return _Start(server, log, partial(kafka.started, server, log_start))


@dataclass(frozen=True)
class _Start:
    server: Server
    log: Path
    started: Callable[[], bool]


def _wait(starts: list[_Start]) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    waiting = starts
    while waiting := [start for start in waiting if not start.started()]:
        for start in waiting:
            if find(start.server) is None:
                raise explain(start.server, "stopped while starting", start.log)
            if time.monotonic() > deadline:
                problem = f"did not answer within {START_SECONDS_MAX} s"
                raise explain(start.server, problem, start.log)
        time.sleep(POLL_SECONDS)


def _endpoints(memory: Memory) -> Endpoints:
    return Endpoints(f"{HOST}:{memory.ports.kafka}", registry.url(memory.ports.registry))


def _look(server: Server, port: int, version: str, data: Path) -> ServerStatus:
    process = find(server)
    resident_mb = None
    if process is not None:
        # It may end between the two looks.
        with contextlib.suppress(psutil.Error):
            resident_mb = process.memory_info().rss >> 20
    return ServerStatus(
        running=process is not None,
        answering=process is not None and answers(port),
        pid=process.pid if process else None,
        port=port or None,
        version=version,
        data=str(data),
        data_mb=_size_mb(data),
        resident_mb=resident_mb,
    )


def _size_mb(folder: Path) -> float:
    """Add up the blocks on disk: Kafka's index files are long, but mostly holes."""
    blocks = 0
    # A segment, or a whole topic, may be deleted between the two looks; os.walk minds neither.
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                blocks += os.lstat(os.path.join(parent, name)).st_blocks
    return round(blocks * 512 / 1e6, 1)
