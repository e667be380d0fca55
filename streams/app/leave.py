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

from streams.hosted import Hosted

LEAVE_S = 15.0  # after the stop began: a loop has 10 s for its last commit, Faust what is left

logger = logging.getLogger("doa.worker")


def leave_unless_cancelled(hosted: Sequence[Hosted]) -> threading.Timer:
    """End the process after a while, without Faust, which holds nothing that would be lost; where
    its threads stand is written to stderr.
    """
    timer = threading.Timer(LEAVE_S, _leave, [hosted])
    timer.daemon = True
    timer.start()
    return timer


def _leave(hosted: Sequence[Hosted]) -> None:
    logger.error("Faust did not end within %.0f s; the process ends without it", LEAVE_S)
    faulthandler.dump_traceback()
    for one in hosted:
        if (fault := one.fault()) is not None:
            logger.error("%s", fault)
    well = all(one.ended.done() and one.ended.exception() is None for one in hosted)
    os._exit(0 if well else 1)
