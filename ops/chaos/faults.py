"""The faults, one function each: strike, wait for what must follow, and leave the run whole again.

Each is given a Run. What it measures and demands goes through the run; the checker judges the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ops.chaos.clock import ahead_s, clock_of
from ops.chaos.gates import Loss, Mood
from ops.chaos.ground import wait_until
from ops.chaos.run import NothingLeft, Run
from ops.chaos.witness import Witness

LOST_S = 60.0
SLOW_READER_PAUSE_S = 0.5
SLOW_READER_RECORDS = 20
STORM_S = (5.0, 10.0)
REJOIN_S = 60.0
HALT_S = 60.0
AWAY_S = (0.0, 8.0)  # with the time to start: now shorter, now longer than a transaction may take
SNAPSHOT_S = 60.0
SNAPSHOT_TRIES = 8
JUMPS_HOURS = (1, -1, 24, -24)
JUMP_S, HOUR_S, JUMP_MISSED_S = 30.0, 3_600, 60.0


def worker_kill(run: Run) -> None:
    """Kill -9 a worker under load; who stands by for its slot starts it again."""
    slot, units = run.busy()
    at = run.team.restart(slot)
    run.recovers(units, at)


def worker_takeover(run: Run) -> None:
    """Kill -9 a worker; others take its units over before it comes back."""
    slot, units = run.busy()
    at = run.team.kill(slot)
    run.recovers(units, at)
    run.team.start(slot)


def zombie(run: Run) -> None:
    """Suspend a worker beyond its session; wake it when others have its units, or later, when the
    broker has aborted what it had open. It is fenced, and says so, or comes back without its state.
    """
    slot, units = run.busy()
    early = run.random.random() < 0.5
    at = run.team.suspend(slot)
    try:
        run.taken_over(units)
        if not early:
            run.recovers(units, at)
    finally:
        run.team.wake(slot)
    if early:
        run.recovers(units, at)
    run.until("the zombie is back", lambda: run.team.back(slot, run.ground.members()), REJOIN_S)


def stolen_id(run: Run) -> None:
    """Start a slot twice: the older worker must be fenced, and say so."""
    slot, units = run.busy()
    older, at = run.team.running[slot], time.time()
    run.team.start(slot)
    run.team.fenced(older)
    run.recovers(units, at, after=time.time())


def broker_kill(run: Run) -> None:
    """Kill -9 the broker, and start it again after a while."""
    units = run.every()
    run.ground.kill_broker()
    _pause(run, AWAY_S)
    run.recovers(units, run.ground.restart())


def broker_restart(run: Run) -> None:
    """Stop the broker in an orderly way, and start it again after a while."""
    units = run.every()
    run.ground.stop_broker()
    _pause(run, AWAY_S)
    run.recovers(units, run.ground.restart())


def rebalance_storm(run: Run) -> None:
    """A worker leaves, by kill or by asking; or one that left comes back. Then 5 to 10 seconds."""
    run.every()
    missing = sorted(run.team.slots - set(run.team.running))
    if missing and run.random.random() < 0.7:
        run.team.start(missing[0])
    elif len(run.team.running) > 1:
        slot = run.random.choice(sorted(run.team.running))
        (run.team.kill if run.random.random() < 0.5 else run.team.stop)(slot)
    _pause(run, STORM_S)


def scale(run: Run) -> None:
    """All workers but one leave, in an orderly way, and come back: units are handed over twice."""
    leaving = sorted(run.team.running)[1:]
    units = {unit for slot in leaving for unit in run.units(slot)}
    if not units:
        raise NothingLeft
    at = run.team.stop(*leaving)
    run.recovers(units, at, after=time.time())  # those who leave commit what they have in hand
    for slot in leaving:
        run.team.start(slot)
    run.settles()


def torn_end_txn(run: Run) -> None:
    """Lose the broker's response to the request that ends a transaction."""
    _lose_end_txn(run, "response")


def lost_end_txn(run: Run) -> None:
    """Lose the request that ends a transaction."""
    _lose_end_txn(run, "request")


def registry_down(run: Run) -> None:
    """Kill -9 the registry; a worker that starts meanwhile waits for it, the others go on."""
    _without_registry(run, "down", run.ground.kill_registry, run.ground.restart)


def registry_503(run: Run) -> None:
    """The registry answers 503; as when it is down."""
    _without_registry(run, "503", lambda: None, time.time)


def registry_slow(run: Run) -> None:
    """The registry takes seconds for each connection, while a worker starts."""
    slot, units = run.busy()
    run.ground.let_registry_be("slow")
    at = run.team.restart(slot)
    try:
        run.recovers(units, at)
    finally:
        run.ground.let_registry_be("well")


def snapshot_kill(run: Run) -> None:
    """Kill -9 a worker while a snapshot of a model is on its way, not yet committed; again, when
    the commit was quicker than the kill.
    """
    for _ in range(SNAPSHOT_TRIES):
        if _kill_at_snapshot(run):
            return
    raise NothingLeft


def clock_jump(run: Run) -> None:
    """The clock of a worker jumps by an hour or a day, forth or back, and it sees that."""
    slot, units = run.busy()
    hours = JUMPS_HOURS[run.number % len(JUMPS_HOURS)]
    clock_of(run.ground, slot).write_text(f"{hours:+d}h", encoding="utf-8")

    def jumped() -> bool:
        return abs(ahead_s(run.ground, slot) - hours * HOUR_S) < JUMP_MISSED_S

    run.until(f"the clock of slot {slot} jumps by {hours} h", jumped, JUMP_S)
    run.progresses()
    if run.left(units):
        run.go_on(run.left(units))


def slow_reader(run: Run) -> None:
    """Somebody reads all streams, very slowly; nobody is held up, and it sees the same."""
    run.every()
    reader = Witness(run.ground, pause_s=SLOW_READER_PAUSE_S, fetch_records=SLOW_READER_RECORDS)
    run.others.append(reader)
    run.progresses()


def disk_full(run: Run) -> None:
    """Fill the disk of the broker until it halts; free it, and start the broker again."""
    units = run.every()
    ground, disk = run.ground, run.ground.disk
    assert disk is not None, "the case has a ground with a small disk"
    disk.fill()
    wait_until("the broker halts, its disk being full", lambda: not ground.broker_runs(), HALT_S)
    disk.free()
    run.recovers(units, ground.restart())


def _lose_end_txn(run: Run, what: Loss) -> None:
    """Lose one end of a transaction's end, of whoever comes next."""
    run.every()
    gate, before = run.ground.torn, len(run.ground.torn.lost)
    gate.lose_next(what)
    run.until("a transaction's end is lost", lambda: len(gate.lost) > before, LOST_S)
    at, name = gate.lost[-1]
    units = run.units(int(name.rsplit(".", 1)[1]))
    if units:
        run.recovers(units, at)


def _kill_at_snapshot(run: Run) -> bool:
    """Whether the snapshot was uncommitted when the kill came: it is, then, after the kill."""
    slot, units = run.busy()
    places = [(topic, unit) for topic in sorted(run.ground.models) for unit in sorted(units)]
    ends = run.ground.cluster.ends
    before = ends(places)
    run.until(
        "a snapshot is being written",
        lambda: ends(places) != before or not run.left(units),
        SNAPSHOT_S,
    )
    if not run.left(units):
        raise NothingLeft
    at = run.team.restart(slot)
    stable = ends(places, committed=True)
    uncommitted = any(stable[place] < end for place, end in ends(places).items())
    run.recovers(units, at)
    return uncommitted


def _without_registry(
    run: Run, mood: Mood, strike: Callable[[], None], mend: Callable[[], float]
) -> None:
    """Others must go on while a worker that has just started waits; then it goes on too."""
    slot, units = run.busy()
    others = run.every() - units
    run.ground.let_registry_be(mood)
    strike()
    run.team.restart(slot)
    try:
        if run.left(others):
            run.go_on(run.left(others), asking=True)
    finally:
        run.ground.let_registry_be("well")
        at = mend()
    run.recovers(units, at)


def _pause(run: Run, bounds_s: tuple[float, float]) -> None:
    """Wait for as long as chance says, while no worker may die."""
    until = time.monotonic() + run.random.uniform(*bounds_s)
    run.until("the end of a pause", lambda: time.monotonic() > until, 2 * bounds_s[1])
