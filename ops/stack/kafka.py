"""Apache Kafka as one KRaft node on loopback: settings, command line, how one knows it is up."""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.stack.errors import StartFailed
from ops.stack.java import Java
from ops.stack.lock import Lock
from ops.stack.ports import HOST
from ops.stack.process import Server, environment
from ops.stack.properties import write_properties

HEAP_MB = 512
# The largest model snapshot measured is 12 MB; Kafka's own limit of 1 MB would refuse it.
RECORD_BYTES_MAX = 16 * 1024 * 1024
TRANSACTION_MS_MAX = 60_000
BROKER_SESSION_MS = 4_000
BROKER_HEARTBEAT_MS = 1_000
INTERNAL_PARTITIONS = 4
CLEANER_BYTES = 32 * 1024 * 1024
OWN_SEGMENT_BYTES = 1024 * 1024
LOG_FILE_MB_MAX = 10
LOG_FILES_MAX = 3
FORMAT_SECONDS_MAX = 60

SETTINGS: Mapping[str, object] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    # One node: everything that is replicated has one replica.
    "default.replication.factor": 1,
    "min.insync.replicas": 1,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "offsets.topic.num.partitions": INTERNAL_PARTITIONS,
    "transaction.state.log.num.partitions": INTERNAL_PARTITIONS,
    "share.coordinator.state.topic.num.partitions": INTERNAL_PARTITIONS,
    # Topics are declared; a misspelt name must fail instead of becoming a topic.
    "auto.create.topics.enable": "false",
    # The past is replayed: retention by an event's own time would delete it at once.
    "log.message.timestamp.type": "LogAppendTime",
    "log.retention.hours": -1,
    # A laptop that was off for weeks must find its place again; Kafka forgets it after a week.
    "offsets.retention.minutes": 2_147_483_647,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1_000,
    "group.max.session.timeout.ms": 300_000,
    # A worker killed inside a transaction stalls read_committed readers until the broker aborts.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 200,
    "transaction.max.timeout.ms": TRANSACTION_MS_MAX,
    "message.max.bytes": RECORD_BYTES_MAX,
    "replica.fetch.max.bytes": RECORD_BYTES_MAX,
    # A broker that was killed may register again only when its old session has ended.
    "broker.session.timeout.ms": BROKER_SESSION_MS,
    "broker.heartbeat.interval.ms": BROKER_HEARTBEAT_MS,
    # Sizes for one person's machine; the cleaner's default buffer is a quarter of our heap.
    "num.network.threads": 2,
    "num.io.threads": 4,
    "log.cleaner.threads": 1,
    "log.cleaner.dedupe.buffer.size": CLEANER_BYTES,
    # Kafka's own topics are loaded at each start, and a flow commits many times a second: they are
    # kept short (decision 10 says what a long one leads to). Ours say how long they keep deletes.
    "offsets.topic.segment.bytes": OWN_SEGMENT_BYTES,
    "transaction.state.log.segment.bytes": OWN_SEGMENT_BYTES,
    "log.cleaner.backoff.ms": 5_000,
    "log.cleaner.delete.retention.ms": 60_000,
}

_STARTED = "Kafka Server started"


@dataclass(frozen=True)
class Door:
    """A second listener, whose clients are told to come by another port: that of a proxy."""

    port: int
    told_port: int


def log_path(server: Server) -> Path:
    """Return the broker's log file."""
    return server.home / "kafka.log"


def data_path(server: Server) -> Path:
    """Return the directory of the topics."""
    return server.home / "data"


def new_cluster_id() -> str:
    """Return a random id in Kafka's own form; one that begins with a dash reads as an option."""
    while True:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not cluster_id.startswith("-"):
            return cluster_id


def write_settings(
    server: Server, port: int, controller_port: int, door: Door | None = None
) -> None:
    """Write the broker's and the logger's settings, over whatever a hand has changed."""
    listeners = told = f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}"
    protocols = str(SETTINGS["listener.security.protocol.map"])
    if door is not None:
        listeners += f",DOOR://{HOST}:{door.port}"
        told += f",DOOR://{HOST}:{door.told_port}"
        protocols += ",DOOR:PLAINTEXT"
    settings = {
        **SETTINGS,
        "listeners": listeners,
        "advertised.listeners": told,
        "listener.security.protocol.map": protocols,
        "controller.quorum.bootstrap.servers": f"{HOST}:{controller_port}",
        "log.dirs": data_path(server),
    }
    write_properties(_settings_path(server), settings)
    write_properties(_logging_path(server), _logging(log_path(server)))


def format_storage(server: Server, java: Java, lock: Lock, cache: Path, cluster_id: str) -> None:
    """Write the empty cluster's metadata, once; a format that was cut off is begun again."""
    if (data_path(server) / "meta.properties").exists():
        return
    arguments = ["format", "--cluster-id", cluster_id, "--standalone", "--ignore-formatted"]
    settings = ["--config", str(_settings_path(server))]
    # The tool ends before the thorough compiler could pay for itself.
    quick = [*_java(server, java, lock, cache), "-XX:TieredStopAtLevel=1"]
    tool = [*quick, "kafka.tools.StorageTool", *arguments, *settings]
    try:
        run = subprocess.run(
            tool,
            check=False,
            capture_output=True,
            text=True,
            timeout=FORMAT_SECONDS_MAX,
            env=environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise StartFailed(
            f"formatting {data_path(server)} took longer than {FORMAT_SECONDS_MAX} s",
            "look at the disk, then run `doa up` again",
        ) from error
    if run.returncode:
        cause = (run.stderr or run.stdout).strip().splitlines()[-1:]
        raise StartFailed(
            f"formatting {data_path(server)} failed: {''.join(cause)}",
            "if the data is of no use, delete it with `doa down --wipe`, then run `doa up`",
        )


def command(server: Server, java: Java, lock: Lock, cache: Path) -> list[str]:
    """Return the command line of the broker."""
    return [*_java(server, java, lock, cache), "kafka.Kafka", str(_settings_path(server))]


def started(server: Server, log_start: int) -> bool:
    """Tell whether the broker has written that it serves; its port opens a little before that."""
    path = log_path(server)
    if not path.exists():
        return False
    # A file shorter than before has been rolled since.
    with path.open("rb") as file:
        file.seek(log_start if path.stat().st_size >= log_start else 0)
        return _STARTED.encode() in file.read()


def _java(server: Server, java: Java, lock: Lock, cache: Path) -> list[str]:
    class_path = os.pathsep.join(str(cache / one.path) for one in lock.kafka)
    # With a heap this small the serial collector starts faster and needs less memory.
    # Out of memory, a broker that limps on is worse than one that is seen to be down.
    options = [f"-Xmx{HEAP_MB}m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]
    logging = f"-Dlog4j2.configurationFile={_logging_path(server).as_uri()}"
    return [str(java.path), *options, logging, "-cp", class_path]


def _settings_path(server: Server) -> Path:
    return server.home / "server.properties"


def _logging_path(server: Server) -> Path:
    return server.home / "log4j2.properties"


def _logging(log: Path) -> dict[str, object]:
    """Warnings to a file that is rolled, and the one line by which the start is known."""
    return {
        "status": "error",
        "appender.file.type": "RollingFile",
        "appender.file.name": "file",
        "appender.file.fileName": log,
        "appender.file.filePattern": f"{log}.%i",
        "appender.file.layout.type": "PatternLayout",
        "appender.file.layout.pattern": "%d{ISO8601} %p %c: %m%n",
        "appender.file.policies.type": "Policies",
        "appender.file.policies.size.type": "SizeBasedTriggeringPolicy",
        "appender.file.policies.size.size": f"{LOG_FILE_MB_MAX}MB",
        "appender.file.strategy.type": "DefaultRolloverStrategy",
        "appender.file.strategy.max": LOG_FILES_MAX,
        "rootLogger.level": "warn",
        "rootLogger.appenderRef.file.ref": "file",
        "logger.started.name": "kafka.server.KafkaRaftServer",
        "logger.started.level": "info",
    }
