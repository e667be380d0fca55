"""The cache holds whole files only: against a small web server that can be told to misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ops.stack import download
from ops.stack.cache import check_room, missing
from ops.stack.download import default_repository, fetch
from ops.stack.errors import DiskFull, DownloadError
from ops.stack.lock import (
    KAFKA_VERSION,
    LOGGER_VERSION,
    REGISTRY_VERSION,
    Artifact,
    read_lock,
)
from ops.stack.progress import Silence

CONTENT = bytes(range(256)) * 4096
ARTIFACT = Artifact("org.example:thing:jar:1.0", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class Repository(ThreadingHTTPServer):
    """Serves CONTENT at every path; `cuts` answers are ended after `cut_bytes`."""

    daemon_threads = True
    cuts = 0
    cut_bytes = 131_072
    ranged = True
    status = 200
    content = CONTENT

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.ranges: list[str | None] = []
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.ranges.append(asked)
        server.paths.append(self.path)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranged else 0
        body = server.content[start:]
        self.send_response(206 if start else server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cuts:
            server.cuts -= 1
            body = body[: server.cut_bytes]
        # A client that has enough hangs up.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "RETRY_SECONDS", 0.0)


@pytest.fixture
def repository() -> Iterator[Repository]:
    with Repository() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch_one(cache: Path, repository: Repository) -> bytes:
    fetch([ARTIFACT], cache, Silence(), repository.url)
    return (cache / ARTIFACT.path).read_bytes()


def part(cache: Path) -> Path:
    path = cache / "org/example/thing/1.0/thing-1.0.jar.part"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_download_takes_the_path_of_a_maven_repository(
    tmp_path: Path, repository: Repository
) -> None:
    assert fetch_one(tmp_path, repository) == CONTENT
    assert repository.paths == ["/org/example/thing/1.0/thing-1.0.jar"]
    assert missing([ARTIFACT], tmp_path) == []


def test_download_that_was_cut_off_is_resumed_where_it_stopped(
    tmp_path: Path, repository: Repository
) -> None:
    repository.cuts = 1
    assert fetch_one(tmp_path, repository) == CONTENT
    assert repository.ranges == [None, "bytes=131072-"]


def test_download_of_an_earlier_process_is_resumed(tmp_path: Path, repository: Repository) -> None:
    part(tmp_path).write_bytes(CONTENT[:1000])
    assert fetch_one(tmp_path, repository) == CONTENT
    assert repository.ranges == ["bytes=1000-"]
    assert not part(tmp_path).exists()


def test_download_starts_anew_where_ranges_are_not_served(
    tmp_path: Path, repository: Repository
) -> None:
    part(tmp_path).write_bytes(CONTENT[:1000])
    repository.ranged = False
    assert fetch_one(tmp_path, repository) == CONTENT


def test_download_cut_off_again_and_again_says_that_it_can_be_continued(
    tmp_path: Path, repository: Repository
) -> None:
    repository.cuts = 3
    with pytest.raises(DownloadError, match=r"cut off after 393,216 of 1,048,576 bytes.*continues"):
        fetch_one(tmp_path, repository)
    assert missing([ARTIFACT], tmp_path) == [ARTIFACT]
    assert fetch_one(tmp_path, repository) == CONTENT
    assert repository.ranges[-1] == "bytes=393216-"


def test_corrupt_download_never_gets_into_the_cache(tmp_path: Path, repository: Repository) -> None:
    repository.content = bytes(len(CONTENT))
    with pytest.raises(DownloadError, match=r"thing:jar:1\.0 has SHA-256 30e14955ebf1…"):
        fetch_one(tmp_path, repository)
    assert missing([ARTIFACT], tmp_path) == [ARTIFACT]
    assert not part(tmp_path).exists()


def test_longer_download_than_the_lock_says_is_refused(
    tmp_path: Path, repository: Repository
) -> None:
    repository.content = CONTENT + b"more"
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch_one(tmp_path, repository)


def test_artifact_that_the_repository_lacks_is_named(
    tmp_path: Path, repository: Repository
) -> None:
    repository.status = 404
    with pytest.raises(DownloadError, match=r"answers 404 for org\.example:thing:jar:1\.0"):
        fetch_one(tmp_path, repository)


def test_nobody_at_the_repository_is_a_cut_off_download(tmp_path: Path) -> None:
    # A port that was just free, and that nobody listens at.
    with Repository() as server:
        url = server.url
    with pytest.raises(DownloadError, match="cut off after 0 of"):
        fetch([ARTIFACT], tmp_path, Silence(), url)


def test_disk_without_room_is_told_before_the_download(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="needs 1000000000000 MB"):
        check_room(tmp_path, 10**18)


def test_mirror_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOA_MAVEN_URL", "http://mirror.test/maven/")
    assert default_repository() == "http://mirror.test/maven"


def test_lock_has_the_versions_that_it_is_made_of() -> None:
    lock = read_lock()
    coordinates = {one.coordinate for one in lock.artifacts}
    assert lock.kafka_version == KAFKA_VERSION
    assert lock.registry_version == REGISTRY_VERSION
    assert {
        f"org.apache.kafka:kafka_2.13:jar:{KAFKA_VERSION}",
        f"org.apache.kafka:kafka-clients:jar:{KAFKA_VERSION}",
        f"org.apache.logging.log4j:log4j-slf4j-impl:jar:{LOGGER_VERSION}",
        f"io.apicurio:apicurio-registry-app:tar.gz:all:{REGISTRY_VERSION}",
    } <= coordinates


def test_lock_pins_every_artifact_and_names_no_host() -> None:
    lock = read_lock()
    assert len(lock.kafka) == 46
    assert all(len(one.sha256) == 64 and one.bytes_count > 0 for one in lock.artifacts)
    assert all("/" not in one.coordinate for one in lock.artifacts)
