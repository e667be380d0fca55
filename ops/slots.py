"""Slots: the stable number of a worker among those of its flow, held on this host by a locked file.

A slot names the worker's transactions and its place in the consumer group, so that a restart fences
its predecessor and gets the same partitions back. Two hosts cannot see each other's files: there,
give each worker its `--slot`.
"""

from __future__ import annotations

import fcntl
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from streams.errors import NotWritten, StreamsError

SLOTS_MAX = 1_000


@dataclass
class Slot:
    """A number, and the open file that locks it."""

    number: int
    descriptor: int

    def release(self) -> None:
        """Give the slot up; the system does the same when the process ends in any way."""
        os.close(self.descriptor)


def take_slot(folder: Path, group: str, number: int | None = None) -> Slot:
    """The lowest free slot of a group; a given number is taken over from whoever has it."""
    if number is not None:
        descriptor = _open(folder, group, number)
        if not _lock(descriptor):
            # The broker fences the older worker, which then ends; the file is ours from that moment
            # on.
            waiting = threading.Thread(
                target=fcntl.flock, args=(descriptor, fcntl.LOCK_EX), daemon=True
            )
            waiting.start()
        return Slot(number, descriptor)
    for candidate in range(SLOTS_MAX):
        descriptor = _open(folder, group, candidate)
        if _lock(descriptor):
            return Slot(candidate, descriptor)
        os.close(descriptor)
    raise StreamsError(f"{group}: all {SLOTS_MAX} slots of this host are taken")


def _open(folder: Path, group: str, number: int) -> int:
    path = folder / f"{group}.{number}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NotWritten.because(path, error) from error


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
