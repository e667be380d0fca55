"""Bring the artefacts of the lock into the cache: resumed when cut off, verified before use.

A file is written as `<name>.part` and gets its own name only after its size and SHA-256 are those
of the lock, so a file in the cache is always whole, however the process that fetched it ended.
"""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from ops.stack.errors import DownloadError
from ops.stack.lock import Artifact
from ops.stack.progress import Progress

CONNECTIONS_MAX = 4
TRIES_MAX = 3
RETRY_SECONDS = 1.0
TIMEOUT_SECONDS = 30
# A chunk that was cut off is lost, so it is small.
CHUNK_BYTES = 1 << 14
PART_SUFFIX = ".part"


def default_repository() -> str:
    """Return the mirror that `DOA_MAVEN_URL` names, or the default of the resolver library."""
    mirror = os.environ.get("DOA_MAVEN_URL")
    if mirror:
        return mirror.rstrip("/")
    # Imported here because it costs as much time as all the rest of a start that downloads nothing.
    from jgo.constants import MAVEN_CENTRAL_URL

    return str(MAVEN_CENTRAL_URL)


def fetch(
    artifacts: list[Artifact], cache: Path, progress: Progress, repository: str | None = None
) -> None:
    """Download and verify the artefacts; what an earlier try left in `.part` files is continued."""
    base = repository or default_repository()
    counter = _Counter(sum(one.bytes_count for one in artifacts), progress)
    with ThreadPoolExecutor(CONNECTIONS_MAX) as pool:
        futures = [pool.submit(_fetch_one, base, one, cache, counter) for one in artifacts]
        try:
            for future in futures:
                future.result()
        except BaseException:
            # The others stop at their next chunk; their `.part` files stay for the next try.
            counter.stopped.set()
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            progress.end()


class _Counter:
    """Adds up what all connections have; in absolute numbers, so that a retry counts once."""

    def __init__(self, bytes_total: int, progress: Progress) -> None:
        self.stopped = threading.Event()
        self._bytes_total = bytes_total
        self._bytes_done: dict[str, int] = {}
        self._progress = progress
        self._guard = threading.Lock()

    def have(self, artifact: Artifact, bytes_count: int) -> None:
        with self._guard:
            self._bytes_done[artifact.coordinate] = min(bytes_count, artifact.bytes_count)
            self._progress.advance(sum(self._bytes_done.values()), self._bytes_total)


def _fetch_one(base: str, artifact: Artifact, cache: Path, counter: _Counter) -> None:
    target = cache / artifact.path
    part = target.with_name(target.name + PART_SUFFIX)
    target.parent.mkdir(parents=True, exist_ok=True)
    for remaining in reversed(range(TRIES_MAX)):
        try:
            _append(f"{base}/{artifact.path}", part, artifact, counter)
            break
        except requests.RequestException as error:
            if not remaining:
                raise _cut_off(artifact, part, error) from error
        if counter.stopped.wait(RETRY_SECONDS):
            return
    if not counter.stopped.is_set():
        _verify(part, artifact)
        part.rename(target)


def _append(url: str, part: Path, artifact: Artifact, counter: _Counter) -> None:
    """Add to the part what it lacks, or start it anew if the server does not serve ranges."""
    start = part.stat().st_size if part.exists() else 0
    if start < artifact.bytes_count:
        # Identity, because a decoded body has neither the size nor the offsets of the file.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            have = start if resumed else 0
            with part.open("ab" if resumed else "wb") as file:
                for chunk in response.iter_content(CHUNK_BYTES):
                    file.write(chunk)
                    have += len(chunk)
                    counter.have(artifact, have)
                    if counter.stopped.is_set() or have > artifact.bytes_count:
                        return
        if have < artifact.bytes_count:
            raise requests.ConnectionError(f"the server closed after {have} bytes")
    # A part that was whole, or too long, is not asked for: its checksum decides.
    counter.have(artifact, artifact.bytes_count)


def _cut_off(artifact: Artifact, part: Path, error: requests.RequestException) -> DownloadError:
    status = error.response.status_code if error.response is not None else None
    if status is not None:
        return DownloadError(
            f"the Maven repository answers {status} for {artifact.coordinate}",
            "set DOA_MAVEN_URL to a mirror that has it, then run `doa up` again",
        )
    got = part.stat().st_size if part.exists() else 0
    return DownloadError(
        f"the download of {artifact.coordinate} was cut off after {got:,} of "
        f"{artifact.bytes_count:,} bytes ({type(error).__name__})",
        "run `doa up` again, it continues where it stopped",
    )


def _verify(part: Path, artifact: Artifact) -> None:
    with part.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 == artifact.sha256:
        return
    part.unlink()
    raise DownloadError(
        f"{artifact.coordinate} has SHA-256 {sha256[:12]}…, the lock says {artifact.sha256[:12]}…",
        "the file was deleted: run `doa up` again, and distrust the repository if it repeats",
    )
