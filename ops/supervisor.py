"""A process that has loaded everything and does nothing, so that a worker which was killed is back
in the time that its state takes: most of a plain start is spent on imports.

Only a death by a signal that did not come through the supervisor is answered by a new worker; one
that ends of itself, whether in peace, fenced or with an error, has ended.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

SETTLED_S = 10.0  # a worker that lived for so long was no failure of the start
DEATHS_AT_ONCE = 3  # sooner ones in a row, after which each start waits twice as long
PAUSE_S_MAX, PAUSE_POLL_S = 30.0, 0.1
AGAIN = "it starts again"
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def supervise(load: Callable[[], object]) -> int | None:
    """Load, then fork. None in every child, which is to go on as the worker and ends when this
    process does; in the parent the exit code of the last child.

    `load` must leave no thread and no connection behind: a fork has neither.
    """
    return _Supervisor().run(load)


def pause_s(deaths: int) -> float:
    """Seconds to wait after so many early deaths in a row."""
    late = deaths - DEATHS_AT_ONCE
    return 0.0 if late <= 0 else min(2.0 ** (late - 1), PAUSE_S_MAX)


class _Supervisor:
    def __init__(self) -> None:
        self._child: int | None = None
        self._asked = False  # to end
        self._told = False  # the child, so that it is asked once for each time that we are
        self._rest, self._work = os.pipe()

    def run(self, load: Callable[[], object]) -> int | None:
        load()
        gc.freeze()  # what was loaded stays shared with the children
        for number in SIGNALS:
            signal.signal(number, self._forward)
        deaths = 0
        while not self._asked:
            began = time.monotonic()
            if self._fork():
                return None
            assert self._child is not None
            if self._asked and not self._told:  # before there was a child to tell
                self._forward()
            pid, status = os.waitpid(self._child, 0)
            self._child = None
            code = os.waitstatus_to_exitcode(status)
            if code >= 0:
                return code
            if self._asked:
                break
            deaths = deaths + 1 if time.monotonic() - began < SETTLED_S else 1
            name = signal.Signals(-code).name
            print(f"doa: the worker {pid} was ended by {name}; {AGAIN}", file=sys.stderr)
            self._pause(pause_s(deaths))
        return 0

    def _fork(self) -> bool:
        """True in the child, where signals are as a new process has them."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        sys.stdout.flush()
        sys.stderr.flush()
        self._child = os.fork()
        is_child = self._child == 0
        if is_child:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.close(self._work)
            threading.Thread(target=_end_with_parent, args=(self._rest,), daemon=True).start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return is_child

    def _forward(self, *_: object) -> None:
        self._asked = True
        if self._child is not None:
            self._told = True
            with contextlib.suppress(ProcessLookupError):  # it has ended in this moment
                os.kill(self._child, signal.SIGTERM)

    def _pause(self, seconds: float) -> None:
        """Sleep in short steps: Python goes on with a sleep that a signal has interrupted."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._asked:
            time.sleep(PAUSE_POLL_S)


def _end_with_parent(rest: int) -> None:
    """Wait for the pipe to lose its last writer, which is the parent, whatever ends that."""
    os.read(rest, 1)
    os.kill(os.getpid(), signal.SIGTERM)
