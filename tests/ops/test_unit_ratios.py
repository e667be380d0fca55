"""No regressions: what the runtime costs beside plain code has not grown by half."""

from __future__ import annotations

import json
from pathlib import Path

import ops.bench
from ops.bench.unit import bench_unit

RECORDED = Path(ops.bench.__path__[0]) / "recorded" / "unit.json"
SHARE_MIN = 2 / 3  # of what was recorded
STRICT_MIN = 0.85  # strict decoding may cost that much of the flow's speed at most


def test_ratios_hold() -> None:
    run = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert not run["compiled"], "tests run the source; record with: doa compile --remove"
    recorded = run["ratios"]
    found = bench_unit()["ratios"]
    assert found.keys() == recorded.keys()
    for name, ratio in found.items():
        assert ratio >= SHARE_MIN * recorded[name], f"{name}: {recorded[name]} was recorded"
    assert found["flights_trusting_decoder"] >= STRICT_MIN
