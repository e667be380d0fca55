"""A worker whose learners write a snapshot every few examples, so that a short run meets many.

Run as `python -m ops.chaos.worker EVERY worker FLOW --slot N`: all after the number is what `doa`
takes. Nothing else differs from `doa worker`.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from pathlib import Path

from ops.hash_seed import pin_hash_seed

SHOWN = ".shown"
SHOW_S = 0.2


def snapshot_often(every: int, packages: tuple[str, ...]) -> None:
    """Let every learner of these packages write a snapshot every so many examples."""
    from streams.processor import Learner
    from streams.topology import discover

    for flow in discover(packages).flows.values():
        for processor in flow.processors:
            if isinstance(processor, Learner):
                processor.snapshot_every = every


def sleep_plainly() -> None:
    """Sleep by `select`. Where the clock is faked, Python's own sleep asks for an instant of the
    true monotonic clock, which the library reads as one of the faked clock and refuses.
    """

    def sleep(seconds: float) -> None:
        select.select([], [], [], seconds)

    time.sleep = sleep  # type: ignore[assignment]


def show_clock(clock: Path) -> None:
    """Write again and again what time it is here, so that the campaign sees whether a jump came."""
    while True:
        clock.with_suffix(SHOWN).write_text(str(time.time()), encoding="utf-8")
        time.sleep(SHOW_S)  # the pace at which it is shown; nothing is waited for


def main() -> None:
    """Change the learners, then be `doa`."""
    pin_hash_seed()
    if "faketime" in os.environ.get("LD_PRELOAD", ""):
        sleep_plainly()
        show = threading.Thread(
            target=show_clock, args=(Path(os.environ["FAKETIME_TIMESTAMP_FILE"]),), daemon=True
        )
        os.register_at_fork(after_in_child=show.start)  # the one that works is a fork
    from ops import compiled

    compiled.prefer()
    every = int(sys.argv.pop(1))
    packages = [sys.argv[i + 1] for i, text in enumerate(sys.argv) if text == "--app"]
    snapshot_often(every, ("processors", *packages))
    from ops.cli import main as doa

    doa()


if __name__ == "__main__":
    main()
