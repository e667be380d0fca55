"""The process in which hostile bytes are decoded: `python -m ops.fuzz.child SEED FIRST CASES PLACE
PACKAGE...`.

PLACE is a file that always holds the number of the case being run, so that whoever started this
knows which case killed it. The result is one line of JSON on standard output, after lines of
progress.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import mmap
import resource
import signal
import struct
import sys
import time
from collections import Counter
from typing import Any

from ops.fuzz.cases import Campaign
from streams.topology import discover

CASE_MS_MAX = 50.0
CASE_MB_MAX = 256
CASE_S_FATAL = 5.0  # of the processor's time: a case that does not end kills the child
TRIES = 3  # of a case that seems slow: the machine has other things to do, too
PROGRESS_CASES = 10_000
FAULTS_KEPT = 20
CPU_S_SPARE = 600


def main(arguments: list[str]) -> None:
    """Run the cases and print what came of them."""
    seed, first, cases = map(int, arguments[:3])
    campaign = Campaign(seed, discover(tuple(arguments[4:])).records.values())
    faulthandler.enable()
    gc.freeze()
    _limit(cases)
    with open(arguments[3], "r+b") as place:
        number = mmap.mmap(place.fileno(), 8)
        print(json.dumps(_run(campaign, first, cases, number)))


def _limit(cases: int) -> None:
    """Bound memory to what is used now and a case's share; time to what all cases may take."""
    with open("/proc/self/statm", encoding="ascii") as sizes:
        used = int(sizes.read().split()[0]) * resource.getpagesize()
    most = used + CASE_MB_MAX * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seconds = int(cases * CASE_MS_MAX / 1_000) + CPU_S_SPARE
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def _run(campaign: Campaign, first: int, cases: int, place: mmap.mmap) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    faults: list[dict[str, Any]] = []
    slow, ms_max = 0, 0.0
    for number in range(first, first + cases):
        place[:] = struct.pack("<q", number)
        signal.setitimer(signal.ITIMER_PROF, CASE_S_FATAL)
        began = time.process_time()
        try:
            outcomes[campaign.run(number)] += 1
        except BaseException as error:  # whatever it is, it is what is looked for
            outcomes["WRONG"] += 1
            if len(faults) < FAULTS_KEPT:
                text = f"{type(error).__name__}: {error}"
                faults.append({"case": number, "fault": text[:500]})
        ms = (time.process_time() - began) * 1_000
        if ms > CASE_MS_MAX:
            ms = min(ms, *(_ms(campaign, number) for _ in range(TRIES)))
            slow += ms > CASE_MS_MAX
        ms_max = max(ms_max, ms)
        if (number - first + 1) % PROGRESS_CASES == 0:
            so_far = {"done": number - first + 1, "wrong": outcomes["WRONG"], "slow": slow}
            print(json.dumps(so_far), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    return {
        "outcomes": dict(sorted(outcomes.items())),
        "faults": faults,
        "slow": slow,
        "case_ms_max": round(ms_max, 1),
        "rss_mb_max": round(peak, 1),
    }


def _ms(campaign: Campaign, number: int) -> float:
    began = time.process_time()
    try:
        campaign.run(number)
    except Exception as error:
        assert error, "it was counted when it ran first"
    return (time.process_time() - began) * 1_000


if __name__ == "__main__":
    main(sys.argv[1:])
