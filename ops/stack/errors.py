"""Errors of the embedded stack: each says in one sentence what is wrong, and what to do next.

StackError
├── DownloadError      an artefact cannot be had whole: cut off, refused, or not what the lock says
├── JavaError          no Java that is new enough
├── PortTaken          a port of ours is held by somebody else
├── DiskFull           too little room for what must be stored
├── ForeignData        the data directory was written by something this version must not touch
├── StartFailed        a process died or did not answer in time
├── Busy               another `doa` is starting or stopping this very stack
└── StillRunning       asked for what can only be done while the stack is down
"""

from __future__ import annotations

from streams.errors import StreamsError


class StackError(StreamsError):
    """What is wrong, in one sentence, and the next step for the person who reads it."""

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(f"{what}; {next_step}")
        self.what = what
        self.next_step = next_step


class DownloadError(StackError):
    """An artefact was cut off, refused, or is not what the lock says."""


class JavaError(StackError):
    """No Java was found that Kafka and the registry can run on."""


class PortTaken(StackError):
    """A port that this stack has been given is held by another process."""


class DiskFull(StackError):
    """The disk has too little room for what must be stored on it."""


class ForeignData(StackError):
    """The data was written by a version that this one must not read."""


class StartFailed(StackError):
    """A process died while starting, or did not answer in time."""


class Busy(StackError):
    """Another process is at work on the same directory."""


class StillRunning(StackError):
    """The stack must be down for this."""
