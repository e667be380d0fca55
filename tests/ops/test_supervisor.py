"""Who stands by for a worker: real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from ops.supervisor import pause_s

SCRIPT = """
import os, signal, sys
from ops.supervisor import supervise
code = supervise(lambda: print("loaded", flush=True))
if code is not None:
    sys.exit(code)
def works():
    print("works", os.getpid(), os.getppid(), flush=True)
{work}
"""
WAIT = "works(); signal.pause()"
END = "works(); sys.exit(3)"
IN_PEACE = """
def ended(*_):
    os.write(1, b"ends\\n")  # print may be what the signal has interrupted
    sys.exit(7)
signal.signal(signal.SIGTERM, ended)
works()
signal.pause()
"""
END_S = 20.0

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a supervisor of a worker that does as the given lines say."""
    started: list[subprocess.Popen[str]] = []

    def begin(work: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", SCRIPT.format(work=work)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def begun(process: subprocess.Popen[str]) -> int:
    """The worker's pid, once it works."""
    said, pid, parent = line(process)
    assert (said, int(parent)) == ("works", process.pid)
    return int(pid)


def test_worker_that_is_killed_starts_again_without_loading(start: Start) -> None:
    process = start(WAIT)
    assert line(process) == ["loaded"]
    first = begun(process)
    os.kill(first, signal.SIGKILL)
    assert line(process) == f"doa: the worker {first} was ended by SIGKILL; it starts again".split()
    assert begun(process) != first


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_whoever_asks_the_supervisor_to_end_asks_the_worker(start: Start, number: int) -> None:
    process = start(IN_PEACE)
    assert line(process) == ["loaded"]
    begun(process)
    process.send_signal(number)
    assert line(process) == ["ends"]
    assert process.wait(END_S) == 7


def test_worker_that_is_ended_by_the_signal_it_was_sent_does_not_start_again(start: Start) -> None:
    process = start(WAIT)
    assert line(process) == ["loaded"]
    begun(process)
    process.terminate()
    assert line(process) == []
    assert process.wait(END_S) == 0


def test_worker_that_ends_of_itself_has_ended(start: Start) -> None:
    process = start(END)
    assert line(process) == ["loaded"]
    begun(process)
    assert process.wait(END_S) == 3


def test_worker_ends_with_a_supervisor_that_is_killed(start: Start) -> None:
    process = start(IN_PEACE)
    assert line(process) == ["loaded"]
    worker = psutil.Process(begun(process))
    process.kill()
    assert line(process) == ["ends"]
    worker.wait(END_S)


def test_worker_that_dies_again_and_again_is_given_more_and_more_time() -> None:
    assert [pause_s(deaths) for deaths in range(1, 10)] == [0, 0, 0, 1, 2, 4, 8, 16, 30]
