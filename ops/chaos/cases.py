"""The cases of a campaign: which fault, how often, in which surroundings, and what is demanded."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from ops.chaos import faults
from ops.chaos.clock import lacks_clock, with_a_clock
from ops.chaos.ground import Ground
from ops.chaos.run import Run
from ops.stack.ports import HOST

# Seconds until readers see progress again, on a machine that has nothing else to do.
RESTART_P50_S = 3.0  # a slot that restarts
TAKEOVER_S = 12.0  # another worker takes over: session and transaction must time out
BROKER_S = 30.0  # after the broker is ready again
SHORT_COMMIT_S = 5
SMALL_DISK_MB = 384
Surroundings = Callable[[Ground, int], dict[str, str]]


def plain(ground: Ground, slot: int) -> dict[str, str]:
    """Nothing special."""
    return {}


def by_the_door(ground: Ground, slot: int) -> dict[str, str]:
    """Workers reach the broker by the proxy, and give a commit up sooner than usual."""
    bootstrap = f"{HOST}:{ground.door.port}"
    return {"DOA_BOOTSTRAP": bootstrap, "DOA_COMMIT_TIMEOUT_S": str(SHORT_COMMIT_S)}


def lacks_root() -> str | None:
    """What to do where nothing may be mounted."""
    return None if os.geteuid() == 0 else "mounts a small tmpfs, for which it must be run by root"


@dataclass(frozen=True)
class Case:
    """A fault, how often it strikes in a short and in a full campaign, and in one run at most.

    `batch_records` makes a run long enough for its faults. Limits are seconds until readers see
    progress again, None where the fault itself sets the pace.
    """

    strike: Callable[[Run], None]
    short: int
    full: int
    per_run: int = 5
    batch_records: int = 10
    p50_s: float | None = None
    max_s: float | None = None
    surroundings: Surroundings = plain
    disk_mb: int = 0
    lacks: Callable[[], str | None] = lambda: None  # what this machine lacks for it


CASES: dict[str, Case] = {
    "worker_kill": Case(faults.worker_kill, 5, 30, 5, 5, p50_s=RESTART_P50_S, max_s=TAKEOVER_S),
    "worker_takeover": Case(faults.worker_takeover, 1, 10, 2, 3, max_s=TAKEOVER_S),
    "zombie": Case(faults.zombie, 2, 10, 2, 3, max_s=TAKEOVER_S),
    "stolen_id": Case(faults.stolen_id, 1, 10, max_s=TAKEOVER_S),
    "broker_kill": Case(faults.broker_kill, 1, 10, max_s=BROKER_S),
    "broker_restart": Case(faults.broker_restart, 1, 10, max_s=BROKER_S),
    "rebalance_storm": Case(faults.rebalance_storm, 10, 50, 10, 1),
    "scale": Case(faults.scale, 1, 5, 1, 3, max_s=TAKEOVER_S),
    "torn_end_txn": Case(faults.torn_end_txn, 3, 20, max_s=BROKER_S, surroundings=by_the_door),
    "lost_end_txn": Case(faults.lost_end_txn, 1, 5, max_s=BROKER_S, surroundings=by_the_door),
    "registry_down": Case(faults.registry_down, 1, 5, 2, 5),
    "registry_503": Case(faults.registry_503, 1, 5, 2, 5),
    "registry_slow": Case(faults.registry_slow, 1, 5, 2, 5),
    "snapshot_kill": Case(faults.snapshot_kill, 10, 100, 10, 5, max_s=TAKEOVER_S),
    "clock_jump": Case(faults.clock_jump, 1, 6, 3, 5, surroundings=with_a_clock, lacks=lacks_clock),
    "disk_full": Case(
        faults.disk_full, 1, 3, 1, max_s=BROKER_S, disk_mb=SMALL_DISK_MB, lacks=lacks_root
    ),
    "slow_reader": Case(faults.slow_reader, 5, 50, 5),
}
