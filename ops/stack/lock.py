"""Which artefacts the embedded stack is made of, exactly: `stack.lock.json`, read and made here.

The lock names Maven coordinates with size and SHA-256, so that a download is what was tested,
whoever serves it. `python -m ops.stack.lock` makes it anew with jgo when a version below changes.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

# Not 4.3 or 4.4, which lose transaction markers: decision 8.
KAFKA_VERSION = "4.2.2"
REGISTRY_VERSION = "3.3.3"
# Kafka's archive binds its logging to log4j; its Maven metadata leaves that binding out.
LOGGER_VERSION = "2.25.5"

LOCK_PATH = Path(__file__).with_name("stack.lock.json")


@dataclass(frozen=True)
class Artifact:
    """One file of a Maven repository.

    >>> Artifact("org.a:b:tar.gz:all:1.0", bytes_count=1, sha256="").path
    'org/a/b/1.0/b-1.0-all.tar.gz'
    """

    coordinate: str
    bytes_count: int
    sha256: str

    @property
    def path(self) -> str:
        """Where a repository keeps group:artifact:extension[:classifier]:version."""
        group, artifact, extension, *classifier, version = self.coordinate.split(":")
        name = "-".join((artifact, version, *classifier))
        return f"{group.replace('.', '/')}/{artifact}/{version}/{name}.{extension}"


@dataclass(frozen=True)
class Lock:
    """The versions, the jars of Kafka's class path, and the registry's archive."""

    kafka_version: str
    registry_version: str
    kafka: tuple[Artifact, ...]
    registry: Artifact

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """All files, the largest first, so that the longest download starts first."""
        return tuple(
            sorted((*self.kafka, self.registry), key=lambda one: one.bytes_count, reverse=True)
        )


def read_lock(path: Path = LOCK_PATH) -> Lock:
    """Read the committed lock."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    return Lock(
        kafka_version=raw["kafka_version"],
        registry_version=raw["registry_version"],
        kafka=tuple(Artifact(**one) for one in raw["kafka"]),
        registry=Artifact(**raw["registry"]),
    )


def resolve_lock(cache: Path) -> Lock:
    """Resolve the versions above with jgo, download everything, and measure it."""
    # Imported here because every `doa up` would pay for what only making the lock needs.
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=cache)
    broker = context.create_dependency(f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}")
    binding = f"org.apache.logging.log4j:log4j-slf4j-impl:{LOGGER_VERSION}"
    logger = context.create_dependency(binding)
    # One call each: jgo lets every root manage the versions of all others, and the logger's parent
    # names an old kafka-clients.
    brokers, libraries = context.resolver.resolve([broker])
    loggers, _ = context.resolver.resolve([logger], transitive=False)
    kafka = [dependency.artifact for dependency in (*brokers, *libraries, *loggers)]
    coordinate = f"io.apicurio:apicurio-registry-app:{REGISTRY_VERSION}"
    component = context.create_dependency(coordinate).artifact.component
    registry = component.artifact(classifier="all", packaging="tar.gz")
    return Lock(
        kafka_version=KAFKA_VERSION,
        registry_version=REGISTRY_VERSION,
        kafka=tuple(sorted(map(measure, kafka), key=lambda one: one.coordinate)),
        registry=measure(registry),
    )


def measure(artifact: object) -> Artifact:
    """What the lock says of a file that jgo has downloaded."""
    parts = ("groupId", "artifactId", "packaging", "classifier", "version")
    coordinate = ":".join(filter(None, (str(getattr(artifact, part)) for part in parts)))
    path: Path = artifact.resolve()  # type: ignore[attr-defined]
    return Artifact(
        coordinate=coordinate,
        bytes_count=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def _write_lock() -> None:
    with tempfile.TemporaryDirectory() as cache:
        lock = resolve_lock(Path(cache))
    LOCK_PATH.write_text(json.dumps(asdict(lock), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write_lock()
