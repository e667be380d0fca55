"""An hour under steady load: does the memory of a worker grow, do its descriptors, does its lag?

The first events of the flow's source are played again and again, each round later in event time, at
a steady pace. Workers run as they do in production.
"""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations, count, pairwise
from typing import Any, TypeVar

import psutil

from ops.chaos import inputs
from ops.chaos.cases import plain
from ops.chaos.checker import Differences, check_journal
from ops.chaos.ground import Ground, wait_until
from ops.chaos.team import Team
from schemas.record import Record
from streams.errors import StreamsError
from streams.processor import days
from streams.topology import stream_of

T = TypeVar("T")

ROUND_EVENTS = 100_000
REST_MS = days(14)  # between two rounds: longer than any state waits, and whole weeks
WEEK_MS = days(7)
SAMPLE_S = 5.0
SAMPLES_TOLD = 12  # a line of progress after so many
PACE_S = 0.1
WARM_SHARE = 0.25  # of the time, at the beginning, in which memory may grow
RSS_SLOPE_MAX = 0.05  # of the mean, per hour
RSS_RISE_MAX = 0.25  # of what it was when warm: what a broker that stalls once may leave behind
DESCRIPTORS_MORE_MAX = 4
LAG_S_MAX = 10.0  # of input
DEAD_SHARE_MAX = 0.01  # of the records: answers to questions from before the first event
RATE_SHARE_MIN = 0.95  # of the rate that was asked for
FINISH_S = 120.0
START_S = 60.0
WORDS_TOLD = 20  # lines of the workers' logs
HOUR_S = 3_600


@dataclass
class Soak:
    """What was measured: by worker, seconds since the start beside bytes and descriptors."""

    records: int = 0
    seconds: float = 0.0
    rss: dict[int, list[tuple[float, float]]] = field(default_factory=dict)
    descriptors: dict[int, list[int]] = field(default_factory=dict)
    lags: list[int] = field(default_factory=list)
    dead_letters: int = 0
    said: list[str] = field(default_factory=list)
    differences: Differences = field(default_factory=Differences)
    failures: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Records per second that were fed."""
        return self.records / max(self.seconds, 1.0)

    @property
    def rss_max(self) -> float:
        """Bytes of the largest worker."""
        return max((size for one in self.rss.values() for _, size in one), default=0.0)

    def as_dict(self) -> dict[str, Any]:
        """The figures, as JSON has them."""
        return {
            "passed": not self.failures,
            "records": self.records,
            "seconds": round(self.seconds, 1),
            "records_per_second": round(self.rate),
            "rss_mb_max": round(self.rss_max / 1e6, 1),
            "rss_mb_by_tenth": {slot: _by_tenth(one) for slot, one in self.rss.items()},
            "rss_slope_per_hour": {s: round(slope_per_hour(one), 4) for s, one in self.rss.items()},
            "descriptors": {slot: [one[0], max(one)] for slot, one in self.descriptors.items()},
            "lag_max": max(self.lags, default=0),
            "lag_max_by_tenth": [max(part, default=0) for part in _tenths(self.lags)],
            "dead_letters": self.dead_letters,
            "said": self.said,
            **self.differences.counts(),
            "failures": self.failures,
        }


def soak(
    ground: Ground,
    program: Sequence[str],
    minutes: float,
    rate: int,
    workers: int,
    say: Callable[[str], None],
) -> Soak:
    """Feed so many events a second for so many minutes, and measure the workers meanwhile."""
    found = Soak()
    ground.reset()
    events = list(inputs.events(ground.topology, ground.flow, ROUND_EVENTS, 0))
    most = int((minutes * 60 + FINISH_S) * rate)
    feed = Feed(ground, rounds(events, most, int(time.time() * 1_000)), rate)
    team = Team(ground, program, {}, plain, "soak")
    try:
        for slot in range(workers):
            team.start(slot)
        feed.start()
        _measure(ground, team, feed, found, minutes * 60, say)
        feed.stop()
        found.records, found.seconds = feed.written, feed.seconds
        if feed.error is not None:
            found.failures.append(f"the feed died: {feed.error!r}")
        ground.ends = {p: e for p, e in ground.cluster.ends(ground.inputs).items() if e > 0}
        wait_until("all that was fed is taken", ground.finished, FINISH_S)
        team.stop(*team.running)
        found.said = team.words()[-WORDS_TOLD:]
        found.dead_letters = ground.dead_letters()
        check_journal(ground, found.differences)
    finally:
        feed.stop()
        team.clean_up()
    judge(found, rate)
    return found


def rounds(events: list[Record], most: int, now_ms: int) -> Iterator[Record]:
    """The same events for ever, every round later by whole weeks. The first so many of them lie in
    the past: those that lie ahead would all be refused. StreamsError when the past is too short.
    """
    times = [getattr(e, stream_of(type(e)).event_time) for e in events]
    first, last = min(times), max(times)
    period_ms = -((first - last - REST_MS) // WEEK_MS) * WEEK_MS
    later_ms = period_ms * ((most - 1) // len(events))  # the last round
    start_ms = min((now_ms - last - later_ms) // WEEK_MS * WEEK_MS, 0)
    if first + start_ms < 0:
        raise StreamsError(
            f"{most:,} events reach back to before 1970; ask for fewer --minutes or a lower --rate"
        )
    return (later(event, start_ms + n * period_ms) for n in count() for event in events)


def later(event: Record, by_ms: int) -> Record:
    """The event, all its instants moved on."""
    instants = {name: getattr(event, name) for name in _instants(type(event))}
    moved = {name: at + by_ms for name, at in instants.items() if at is not None}
    return event.model_copy(update=moved)


@cache
def _instants(record: type[Record]) -> tuple[str, ...]:
    """The fields of a class that are points in time."""
    extras = ((name, info.json_schema_extra) for name, info in record.model_fields.items())
    return tuple(name for name, e in extras if isinstance(e, dict) and e["unit"] == "ms")


def _by_tenth(samples: list[tuple[float, float]]) -> list[float]:
    """Megabytes after each tenth of the time: whether memory has grown once, or still does."""
    return [round(part[-1][1] / 1e6, 1) for part in _tenths(samples) if part]


def _tenths(samples: list[T]) -> list[list[T]]:
    """The samples of each tenth of the time."""
    cuts = [len(samples) * tenth // 10 for tenth in range(11)]
    return [samples[begin:end] for begin, end in pairwise(cuts)]


def slope_per_hour(samples: list[tuple[float, float]]) -> float:
    """The growth per hour as a share of the mean, the warm-up left out: the median of the slopes
    between all pairs of samples (Theil and Sen), on which a single step leaves no mark.

    >>> round(slope_per_hour([(t, 100.0 + t / 36) for t in range(0, 3_600, 60)]), 2)
    0.62
    >>> slope_per_hour([(t, 100.0 + 20.0 * (t > 3_000)) for t in range(0, 3_600, 60)])
    0.0

    References
    ----------
    Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63 (1968).
    """
    warm = _warm(samples)
    if len(warm) < 2:
        return 0.0
    slopes = ((b - a) / (later - at) for (at, a), (later, b) in combinations(warm, 2))
    return statistics.median(slopes) * HOUR_S / statistics.fmean(size for _, size in warm)


def rise(samples: list[tuple[float, float]]) -> float:
    """By how much memory ever grew after the warm-up, as a share of what it was then.

    >>> round(rise([(t, 100.0 + 20.0 * (t > 3_000)) for t in range(0, 3_600, 60)]), 2)
    0.2
    """
    sizes = [size for _, size in _warm(samples)]
    return max(sizes) / sizes[0] - 1 if sizes else 0.0


def _warm(samples: list[T]) -> list[T]:
    return samples[int(len(samples) * WARM_SHARE) :]


class Feed:
    """Writes events at a steady pace, on a thread of its own."""

    def __init__(self, ground: Ground, events: Iterator[Record], rate: int) -> None:
        self.written = 0
        self.seconds = 0.0
        self.error: Exception | None = None
        self._ground = ground
        self._events = events
        self._rate = rate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Write no more; what went wrong is in `error`."""
        self._stopping.set()
        if self._thread.ident:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._write()
        except Exception as error:  # whatever it is, the soak must fail for it
            self.error = error

    def _write(self) -> None:
        ground, began = self._ground, time.monotonic()
        writer = inputs.Writer(ground.connection, ground.plan, ground.partitions)
        while not self._stopping.wait(PACE_S):
            self.seconds = time.monotonic() - began
            while self.written < int(self.seconds * self._rate):
                writer.event(next(self._events))
                self.written += 1
        self.seconds = time.monotonic() - began
        writer.close()


def _measure(
    ground: Ground,
    team: Team,
    feed: Feed,
    found: Soak,
    seconds: float,
    say: Callable[[str], None],
) -> None:
    began = time.monotonic()
    processes = wait_until("all workers run", team.workers, START_S)
    while found.seconds < seconds and feed.error is None:
        team.check()
        for slot, process in processes.items():
            with contextlib.suppress(psutil.NoSuchProcess):  # the next check tells why
                found.rss.setdefault(slot, []).append((found.seconds, process.memory_info().rss))
                found.descriptors.setdefault(slot, []).append(process.num_fds())
        taken = ground.committed()
        ends = ground.cluster.ends(ground.inputs)
        found.lags.append(sum(end - taken.get(place, 0) for place, end in ends.items()))
        if len(found.lags) % SAMPLES_TOLD == 0:
            say(f"soak: {found.seconds:.0f} s, {feed.written:,} events, lag {found.lags[-1]:,}")
        time.sleep(SAMPLE_S)
        found.seconds = time.monotonic() - began


def judge(found: Soak, rate: int) -> None:
    """Say in words what is not as it should be."""
    for slot, samples in found.rss.items():
        slope = slope_per_hour(samples)
        if slope > RSS_SLOPE_MAX:
            found.failures.append(f"slot {slot}: memory grows by {slope:.1%} an hour")
        if (grown := rise(samples)) > RSS_RISE_MAX:
            found.failures.append(f"slot {slot}: memory grew by {grown:.1%} after it was warm")
        warm = _warm(found.descriptors[slot])
        if warm and warm[-1] > warm[0] + DESCRIPTORS_MORE_MAX:
            found.failures.append(f"slot {slot}: {warm[0]} descriptors became {warm[-1]}")
    if found.rate < RATE_SHARE_MIN * rate:
        found.failures.append(f"{found.rate:,.0f} records a second were fed, {rate:,} were asked")
    lags = _warm(found.lags)
    if lags and max(lags) > LAG_S_MAX * rate:
        found.failures.append(f"the lag reached {max(lags):,}, over {LAG_S_MAX:.0f} s of input")
    if found.dead_letters > DEAD_SHARE_MAX * found.records:
        found.failures.append(f"{found.dead_letters:,} of {found.records:,} became dead letters")
    found.failures += found.differences.told
