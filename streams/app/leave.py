"""The end of a process whose Faust does not come to one.

Faust stops a thread of its own by waiting for it on the event loop, without limit, while that
thread may be waiting for something on this event loop; no signal is heard then either.

References
----------
mode-streaming: mode.threads.WorkerThread.stop
"""

from __future__ import annotations

import faulthandler
import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import wait

from streams.hosted import Hosted

LOOPS_S = 10.0  # after the stop began, for the last commits
FAUST_S = 4.0  # after those, for what Faust has to end; it takes a second or two

logger = logging.getLogger("doa.worker")


def leave_unless_set(hosted: Sequence[Hosted]) -> threading.Event:
    """End the process, when the loops have had their time and then Faust, unless the event is set;
    Faust holds nothing that would be lost. Where its threads stand is written to stderr.
    """
    ended = threading.Event()
    threading.Thread(target=_leave, args=(hosted, ended), name="leave", daemon=True).start()
    return ended


def _leave(hosted: Sequence[Hosted], ended: threading.Event) -> None:
    wait([one.ended for one in hosted], LOOPS_S)
    if ended.wait(FAUST_S):
        return
    logger.error("Faust did not end within %.0f s; the process ends without it", FAUST_S)
    faulthandler.dump_traceback()
    for one in hosted:
        if (fault := one.fault()) is not None:
            logger.error("%s", fault)
    well = all(one.ended.done() and one.ended.exception() is None for one in hosted)
    os._exit(0 if well else 1)
