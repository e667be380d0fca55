"""The demo as a user runs it, interrupted, resumed and run again."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from ops.demo import watch
from streams.topology import discover
from streams.validation import checked
from tests.system.auditor import wrong_prediction_is_explained

pytestmark = pytest.mark.broker

FLIGHTS = 1_000
COMMAND = ("demo", "--flights", str(FLIGHTS), "-o", "json")
KEYS = {
    "flights", "horizons", "drifts", "dead_letters", "records_in", "records_out", "seconds",
    "setup_seconds", "flights_per_second", "worker_rss_mb_max",
}  # fmt: skip
HORIZON_KEYS = {
    "predictions", "examples", "censored", "pending", "accuracy", "log_loss", "roc_auc", "mae",
    "coverage", "baselines", "frozen",
}  # fmt: skip
MEASURED = {
    "seconds", "setup_seconds", "load_seconds", "process_seconds", "flights_per_second",
    "worker_rss_mb_max",
}  # fmt: skip


def test_demo_that_was_interrupted_and_resumed_ends_as_one_that_was_not(
    connection: Any, start: Callable[..., Any], until: Callable[..., Any]
) -> None:
    flow = checked(discover()).flow("flights")
    # Commits of five records take so long that the run cannot end before it is interrupted.
    first = start(*COMMAND, DOA_BATCH_RECORDS_MAX=5)

    def under_way() -> bool:
        first.check()
        return sum(watch.committed(flow, connection).values()) > 100

    until("records committed", under_way, 180)
    first.process.send_signal(signal.SIGINT)
    code, out, error = first.wait()
    assert (code, out) == (130, "")
    assert "doa demo --resume" in error
    assert "Traceback" not in error

    resumed = summary(start(*COMMAND, "--resume"))
    assert resumed["records_in"] > sum(watch.committed(flow, connection).values()) / 2
    undisturbed = summary(start(*COMMAND))
    assert undisturbed.keys() >= KEYS
    for horizon in undisturbed["horizons"].values():
        assert horizon.keys() >= HORIZON_KEYS
        closed = horizon["examples"] + horizon["censored"] + horizon["pending"]
        assert horizon["predictions"] == closed > 950
    assert undisturbed["dead_letters"] == 0
    assert figures(resumed) == figures(undisturbed)
    wrong_prediction_is_explained(start)


def summary(demo: Any) -> dict[str, Any]:
    """The one object that the demo prints."""
    code, out, error = demo.wait(120)
    assert code == 0, error
    found: dict[str, Any] = json.loads(out)
    assert found["flights"] == FLIGHTS
    return found


def figures(summary: dict[str, Any]) -> dict[str, Any]:
    """What must not differ between two runs."""
    return {name: value for name, value in summary.items() if name not in MEASURED}
