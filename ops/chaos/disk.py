"""A disk that is small enough to be filled: a tmpfs, which only root can mount."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from streams.errors import StreamsError

FILLER = "filler"
CHUNK_BYTES = 1 << 16
MOUNT_S = 20


class SmallDisk:
    """A tmpfs of so many MB, mounted where the broker keeps its data."""

    def __init__(self, path: Path, size_mb: int) -> None:
        self.path = path
        self._size_mb = size_mb

    def mount(self) -> None:
        """Mount it."""
        self.path.mkdir(parents=True, exist_ok=True)
        options = f"size={self._size_mb}m,mode=0700"
        _run("mount", "-t", "tmpfs", "-o", options, "doa-chaos", str(self.path))

    def fill(self) -> None:
        """Leave no byte of room."""
        with (self.path / FILLER).open("wb", buffering=0) as file:
            while True:
                try:
                    if file.write(bytes(CHUNK_BYTES)) < CHUNK_BYTES:
                        return
                except OSError:
                    return  # full

    def free(self) -> None:
        """Take the filler away."""
        (self.path / FILLER).unlink(missing_ok=True)


def unmount(path: Path) -> None:
    """Unmount what is mounted there, if anything is: a campaign that was killed leaves it."""
    if os.path.ismount(path):
        _run("umount", str(path))


def _run(*command: str) -> None:
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=MOUNT_S)
    if run.returncode:
        raise StreamsError(f"{' '.join(command[:1])} failed: {run.stderr.strip()}")
