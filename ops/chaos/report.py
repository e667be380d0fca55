"""What a campaign found: one JSON document, or a table and what failed."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import click

from ops.chaos.campaign import Outcome
from ops.output import print_table, say
from ops.stack.lock import read_lock
from streams.topology import Topology

COLUMNS = (
    "case", "runs", "faults", "records", "lost", "dup", "reord", "changed", "hanging", "zombie",
    "p50 s", "max s", "verdict",
)  # fmt: skip


def versions(topology: Topology) -> dict[str, str]:
    """What was tested."""
    lock = read_lock()
    return {
        "doa": version("doa"),
        "code": topology.code_version,
        "kafka": lock.kafka_version,
        "registry": lock.registry_version,
        "confluent_kafka": version("confluent-kafka"),
        "python": platform.python_version(),
    }


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """A case as JSON."""
    return {
        "passed": not outcome.failures,
        "runs": outcome.runs,
        "faults": outcome.faults,
        "records": outcome.records,
        **outcome.differences.counts(),
        "hanging_transactions": outcome.hanging_transactions,
        "recovery_seconds_p50": _rounded(outcome.p50_s),
        "recovery_seconds_max": _rounded(outcome.max_s),
        "failures": outcome.failures,
    }


def show(outcomes: dict[str, Outcome], seed: int, again: Callable[[str], str]) -> None:
    """A table on stdout; what failed, and the command that seeks it again, on stderr."""
    rows = []
    for name, outcome in outcomes.items():
        found = as_dict(outcome)
        del found["failures"]
        verdict = "passed" if found.pop("passed") else "FAILED"
        rows.append((name, *_in_order(found), verdict))
    print_table(COLUMNS, rows)
    for name, outcome in outcomes.items():
        for failure in outcome.failures:
            say(f"{name}: {failure}")
        if outcome.failures:
            say(f"seek it again with: {again(name)}")
    failed = sum(bool(o.failures) for o in outcomes.values())
    click.echo(f"seed {seed}: {len(outcomes) - failed} of {len(outcomes)} cases passed")


def _in_order(found: dict[str, Any]) -> tuple[Any, ...]:
    names = (
        "runs", "faults", "records", "lost", "duplicated", "reordered", "changed",
        "hanging_transactions", "zombie_records", "recovery_seconds_p50", "recovery_seconds_max",
    )  # fmt: skip
    return tuple(found[name] for name in names)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
