"""What the cache of artefacts holds, and what there is room for."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from ops.stack.errors import DiskFull
from ops.stack.lock import Artifact


def missing(artifacts: Iterable[Artifact], cache: Path) -> list[Artifact]:
    """Return those that are not in the cache with the size that the lock says."""
    return [one for one in artifacts if not _present(cache / one.path, one.bytes_count)]


def _present(path: Path, bytes_count: int) -> bool:
    return path.is_file() and path.stat().st_size == bytes_count


def check_room(path: Path, bytes_needed: int) -> None:
    """Refuse to start what the disk cannot hold."""
    path.mkdir(parents=True, exist_ok=True)
    bytes_free = shutil.disk_usage(path).free
    if bytes_free < bytes_needed:
        needed, free = bytes_needed / 1e6, bytes_free / 1e6
        raise DiskFull(
            f"{path} needs {needed:.0f} MB and its disk has {free:.0f} MB free",
            "make room there, then run `doa up` again",
        )
