"""Apicurio Registry on loopback with an H2 file: unpacking, settings, command line, readiness."""

from __future__ import annotations

import http.client
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from ops.stack.java import Java
from ops.stack.lock import Lock
from ops.stack.ports import HOST
from ops.stack.process import Server
from ops.stack.properties import write_properties

HEAP_MB = 256
CONFLUENT_API = "/apis/ccompat/v7"
CONNECTIONS_MAX = 10
LOG_FILE_SIZE_MAX = "10M"
LOG_FILES_MAX = 3
ANSWER_SECONDS_MAX = 2

_SETTINGS: Mapping[str, object] = {
    "quarkus.http.host": HOST,
    # Health and metrics listen on every interface by default; here on loopback, at any free port.
    "quarkus.management.host": HOST,
    "quarkus.management.port": 0,
    "quarkus.http.access-log.enabled": "false",
    "quarkus.otel.sdk.disabled": "true",
    "quarkus.log.console.enabled": "false",
    "quarkus.log.file.enabled": "true",
    "quarkus.log.file.json.enabled": "false",
    'quarkus.log.category."io.quarkus".level': "WARN",
    "quarkus.log.file.rotation.max-file-size": LOG_FILE_SIZE_MAX,
    "quarkus.log.file.rotation.max-backup-index": LOG_FILES_MAX,
    'quarkus.log.category."io.apicurio".level': "WARN",
    "apicurio.storage.kind": "sql",
    "apicurio.storage.sql.kind": "h2",
    "apicurio.datasource.jdbc.initial-size": 1,
    "apicurio.datasource.jdbc.min-size": 1,
    "apicurio.datasource.jdbc.max-size": CONNECTIONS_MAX,
}


def log_path(server: Server) -> Path:
    """Return the registry's log file."""
    return server.home / "registry.log"


def data_path(server: Server) -> Path:
    """Return the directory of the database."""
    return server.home / "data"


def url(port: int) -> str:
    """Return the base address of the Confluent API."""
    return f"http://{HOST}:{port}{CONFLUENT_API}"


def program_path(lock: Lock, cache: Path) -> Path:
    """Return where the registry's program is unpacked; its name changes with the archive."""
    return cache / f"apicurio-registry-app-{lock.registry_version}-{lock.registry.sha256[:12]}"


def unpack(lock: Lock, cache: Path) -> None:
    """Unpack the archive beside its place, then rename: a half unpacked one is never used."""
    program, archive = program_path(lock, cache), cache / lock.registry.path
    beside = program.with_name(f"{program.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    with tarfile.open(archive) as tar:
        # The first releases of Python 3.11 have no filters; the archive's checksum is in the lock.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(beside)
    beside.rename(program)
    # What is unpacked is as large as the archive: keeping both would double the room.
    archive.unlink()


def write_settings(server: Server, port: int) -> None:
    """Write the registry's settings, over whatever a hand has changed."""
    data_path(server).mkdir(parents=True, exist_ok=True)
    # Without a write delay a schema that was registered survives a kill.
    database = f"jdbc:h2:file:{data_path(server) / 'registry'};WRITE_DELAY=0"
    settings = {
        **_SETTINGS,
        "quarkus.http.port": port,
        "quarkus.log.file.path": log_path(server),
        "apicurio.datasource.url": database,
    }
    write_properties(_settings_path(server), settings)


def command(server: Server, java: Java, lock: Lock, cache: Path) -> list[str]:
    """Return the command line of the registry."""
    # The quick compiler only: the registry answers few requests, and starts a third faster so.
    compiler = ["-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"]
    options = [f"-Xmx{HEAP_MB}m", "-XX:+UseSerialGC", *compiler]
    settings = f"-Dsmallrye.config.locations={_settings_path(server).as_uri()}"
    program = program_path(lock, cache) / "quarkus-run.jar"
    return [str(java.path), *options, settings, "-jar", str(program)]


def started(port: int) -> bool:
    """Tell whether the registry answers at its Confluent API."""
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", f"{CONFLUENT_API}/subjects")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _settings_path(server: Server) -> Path:
    return server.home / "registry.properties"
