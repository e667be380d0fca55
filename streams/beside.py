"""Work beside a loop: on a thread of its own, which nobody waits for when the process ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


def beside(name: str, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Call a function on a new thread; what it returns or raises."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            result = function(*arguments)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
