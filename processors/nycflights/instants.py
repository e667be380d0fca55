"""From clock times to instants: the data hold what clocks at airports showed, events hold UTC."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DAY_MINUTES = 1_440
MINUTE_MS = 60_000
DAYS_AHEAD_MAX = 2


def clock_minutes(clock: NDArray[Any]) -> NDArray[Any]:
    """Minutes since midnight of clock times written as `hmm`; 2400 begins the next day.

    >>> clock_minutes(np.array([5, 517, 2359, 2400])).tolist()
    [5, 317, 1439, 1440]
    """
    minutes: NDArray[Any] = clock // 100 * 60 + clock % 100
    return minutes


def first_after(
    days: NDArray[Any], minutes: NDArray[Any], zones: NDArray[Any], after_ms: NDArray[Any]
) -> NDArray[Any]:
    """The first instant after `after_ms` at which the zone's clock shows `minutes` past midnight.

    The search begins on the local day `days`. A time that the clock shows twice or never (a change
    of summer time) is an error of pandas; the data hold none.
    """
    found = local_instants(days, minutes, zones)
    for ahead in range(1, DAYS_AHEAD_MAX + 1):
        passed = np.flatnonzero(found <= after_ms)
        found[passed] = local_instants(days[passed] + ahead, minutes[passed], zones[passed])
    assert (found > after_ms).all(), f"an arrival is more than {DAYS_AHEAD_MAX} days away"
    return found


def local_instants(days: NDArray[Any], minutes: NDArray[Any], zones: NDArray[Any]) -> NDArray[Any]:
    """The instants of `minutes` after midnight by the clock, on local days since 1970-01-01.

    >>> local_instants(np.array([0]), np.array([90]), np.array(["America/New_York"])).tolist()
    [23400000]
    """
    import pandas

    clock_ms = ((days * DAY_MINUTES + minutes) * MINUTE_MS).astype("M8[ms]")
    found = np.empty(len(clock_ms), dtype=np.int64)
    for zone in sorted(set(zones.tolist())):
        rows = np.flatnonzero(zones == zone)
        local = pandas.DatetimeIndex(clock_ms[rows]).tz_localize(zone)
        found[rows] = local.tz_convert("UTC").as_unit("ms").asi8
    return found
