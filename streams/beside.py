"""Work beside a loop: on a thread of its own, which nobody waits for when the process ends.

Such work mostly waits for a broker, and then needs the interpreter for moments only: a commit once
for each record that it has delivered. While there is some, threads change more often.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

SWITCH_S = 0.001  # how long a loop may keep the interpreter from what is done beside it


class _Hurry:
    """Has threads change often as long as anything is in it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._calm_s = 0.0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._calm_s = sys.getswitchinterval()
                sys.setswitchinterval(min(SWITCH_S, self._calm_s))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                sys.setswitchinterval(self._calm_s)


_HURRY = _Hurry()


def beside(name: str, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Call a function on a new thread; what it returns or raises."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            with _HURRY:
                result = function(*arguments)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
