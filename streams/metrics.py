"""What a worker counts, for Prometheus. The one door to prometheus_client.

Nothing is paid per record: the loops count in plain integers anyway, and a scrape reads them. No
key, id or other text of a record is ever a label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.flow import FlowLoop
from streams.tally import StepCount

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
RSS_PATH = Path("/proc/self/statm")
PAGE_BYTES = 4_096

_STEP_COUNTERS = (
    ("flow_records_in", "Records that a processor was given.", "records_in"),
    ("flow_records_out", "Records that a processor wrote.", "records_out"),
    ("flow_dead_letters", "Records that could not be processed.", "dead_letters"),
)


class LoopCollector(Collector):
    """Reads the loops of a worker when it is scraped."""

    def __init__(self, loops: Sequence[FlowLoop]) -> None:
        self._loops = loops

    def collect(self) -> Iterator[Metric]:
        """Every metric of the worker; processor `` is the intake, before any processor."""
        counts = [(loop, loop.tally.read(loop.units)) for loop in self._loops]
        for name, text, field in _STEP_COUNTERS:
            family = CounterMetricFamily(name, text, labels=("flow", "processor"))
            for loop, steps in counts:
                for processor, count in steps.items():
                    family.add_metric((loop.plan.flow.name, processor), getattr(count, field))
            yield family
        yield _seconds(counts)
        yield from _transactions(self._loops)
        yield _lags(self._loops)
        yield from _states(self._loops)
        yield GaugeMetricFamily(
            "worker_rss_bytes", "Resident memory of the worker.", value=_rss_bytes()
        )


def metrics_of(loops: Sequence[FlowLoop]) -> CollectorRegistry:
    """A registry of its own for the loops of one worker."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LoopCollector(loops))
    return registry


def exposition(registry: CollectorRegistry) -> str:
    """The text that Prometheus reads."""
    return generate_latest(registry).decode()


def _seconds(counts: Iterable[tuple[FlowLoop, dict[str, StepCount]]]) -> Metric:
    family = CounterMetricFamily(
        "flow_process_seconds", "Time spent in a processor.", labels=("flow", "processor")
    )
    for loop, steps in counts:
        for processor, count in steps.items():
            if processor:
                family.add_metric((loop.plan.flow.name, processor), count.nanoseconds / 1e9)
    return family


def _transactions(loops: Sequence[FlowLoop]) -> Iterator[Metric]:
    for name, text, field in (
        ("flow_commits", "Transactions committed.", "commits"),
        ("flow_aborts", "Transactions aborted; their work is done again.", "aborts"),
    ):
        family = CounterMetricFamily(name, text, labels=("flow",))
        for loop in loops:
            family.add_metric((loop.plan.flow.name,), getattr(loop, field))
        yield family


def _lags(loops: Sequence[FlowLoop]) -> Metric:
    family = GaugeMetricFamily(
        "flow_lag_records", "Records not yet taken.", labels=("flow", "topic", "partition")
    )
    for loop in loops:
        for (topic, partition), lag in loop.lags().items():
            family.add_metric((loop.plan.flow.name, topic, str(partition)), lag)
    return family


def _states(loops: Sequence[FlowLoop]) -> Iterator[Metric]:
    ready = GaugeMetricFamily("flow_ready", "1 while records are taken.", labels=("flow",))
    units = GaugeMetricFamily("flow_units", "Partitions that this worker holds.", labels=("flow",))
    for loop in loops:
        ready.add_metric((loop.plan.flow.name,), loop.reason is None)
        units.add_metric((loop.plan.flow.name,), len(loop.units))
    yield from (ready, units)


def _rss_bytes() -> int:
    try:
        return int(RSS_PATH.read_text().split()[1]) * PAGE_BYTES
    except OSError:  # not Linux: the peak is what is to be had
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
