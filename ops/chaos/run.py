"""One disturbed run of a flow: what a fault can reach, ask and wait for while it strikes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from ops.chaos.ground import Ground, wait_until
from ops.chaos.team import Team
from ops.chaos.witness import Witness

# What a unit must still write to be worth a fault: so many records, or this share if it writes few.
LEFT_MIN, LEFT_SHARE = 300, 0.1
PROGRESS_MIN = 100  # input records committed between two faults
PROGRESS_S = 60.0
RECOVERY_S = 90.0  # to wait; what is demanded stands with the cases
MEMBERS_S = 60.0


class NothingLeft(Exception):
    """The run is too near to its end for another fault: the next run gets it."""


class Run:
    """A ground, a team and a witness; what the undisturbed run wrote, by unit; and chance."""

    def __init__(
        self, ground: Ground, team: Team, witness: Witness, totals: dict[int, int], random: Random
    ) -> None:
        self.ground = ground
        self.team = team
        self.witness = witness
        self.random = random
        self.recoveries_s: list[float] = []
        self.others: list[Witness] = []
        self.records = 0  # as last seen
        self.number = 0  # of the next fault: which of several kinds it is
        self._totals = totals

    @property
    def taken(self) -> int:
        """Input records committed so far."""
        self.records = sum(self.ground.committed().values())
        return self.records

    def left(self, units: set[int]) -> set[int]:
        """Those of the units that still have much to write."""
        totals, counts = self._totals, self.witness.counts
        least = {u: max(1, min(LEFT_MIN, totals[u] * LEFT_SHARE)) for u in units}
        return {u for u in units if totals[u] - counts[u] >= least[u]}

    def busy(self) -> tuple[int, set[int]]:
        """A slot by chance, of those whose units have much left; and these units."""
        members = self.settles()
        busy = {slot: self.left(units) for slot, units in members.items()}
        choice = sorted(slot for slot, units in busy.items() if units)
        if not choice:
            raise NothingLeft
        slot = self.random.choice(choice)
        return slot, busy[slot]

    def units(self, slot: int) -> set[int]:
        """The units of a slot that have much left."""
        return self.left(self.settles()[slot])

    def every(self) -> set[int]:
        """All units that have much left."""
        units = self.left(set(range(self.ground.partitions)))
        if not units:
            raise NothingLeft
        return units

    def recovers(self, units: set[int], since: float, after: float | None = None) -> None:
        """Wait until readers see something that each of these units wrote after an instant, by
        default that of the fault; one that has written all it had to is done.
        """
        after = since if after is None else after
        seen: dict[int, float | None] = {}

        def all_moved() -> bool:
            seen.update({unit: self.witness.saw(unit, after) for unit in units})
            return all(seen[unit] is not None or self._done(unit) for unit in units)

        what = f"a reader sees progress of each of the units {sorted(units)}"
        self.until(what, all_moved, RECOVERY_S)
        moved = [at - since for at in seen.values() if at is not None]
        if not moved:
            raise NothingLeft
        self.recoveries_s.append(max(moved))

    def settles(self) -> dict[int, set[int]]:
        """Wait until every worker is a member and every unit somebody's; the units of each slot."""
        found: dict[int, set[int]] = wait_until("every unit has a worker", self._settled, MEMBERS_S)
        return found

    def takes(self, records: int, seconds: float) -> None:
        """Wait until so many input records were taken."""
        self.until(f"{records:,} records are taken", lambda: self.taken >= records, seconds)

    def finishes(self, seconds: float) -> None:
        """Wait until all input records were taken."""
        self.until("all inputs are taken", self.ground.finished, seconds)
        self.records = self.taken

    def progresses(self) -> None:
        """Wait until at least so many input records were taken, or all."""
        before = self.taken
        self.until(
            f"{PROGRESS_MIN} records of progress",
            lambda: self.ground.finished() or self.taken >= before + PROGRESS_MIN,
            PROGRESS_S,
        )

    def taken_over(self, units: set[int]) -> None:
        """Wait until the offsets of these units move, whether readers see that or not."""
        self._go_on(units, 1)

    def go_on(self, units: set[int], *, asking: bool = False) -> None:
        """Wait until these units have taken at least so many input records more, or all. Where the
        registry does not answer they may also stand `asking`, before a record of which only it
        could say what it is.
        """
        self._go_on(units, PROGRESS_MIN, asking)

    def _go_on(self, units: set[int], records: int, asking: bool = False) -> None:
        ends = sum(end for (_, unit), end in self.ground.ends.items() if unit in units)
        wanted = min(self._offsets(units) + records, ends)
        self.until(
            f"the units {sorted(units)} take {records} records more",
            lambda: self._offsets(units) >= wanted or (asking and units <= self._asking()),
            RECOVERY_S,
        )

    def until(self, what: str, check: Callable[[], Any], seconds: float) -> None:
        """Wait for a condition, while no worker may die."""
        wait_until(what, lambda: self.team.check() and check(), seconds)

    def _done(self, unit: int) -> bool:
        return self.witness.counts[unit] >= self._totals[unit]

    def _offsets(self, units: set[int]) -> int:
        return sum(at for (_, unit), at in self.ground.committed().items() if unit in units)

    def _asking(self) -> set[int]:
        places = self.ground.committed().items()
        return {unit for (topic, unit), at in places if (topic, unit, at) in self.ground.asking}

    def _settled(self) -> dict[int, set[int]] | None:
        """The units of each slot, once each running slot is a member and no unit is nobody's."""
        self.team.check()
        members = self.ground.members()
        units = {unit for held in members.values() for unit in held}
        whole = units == set(range(self.ground.partitions))
        return members if whole and set(self.team.running) <= set(members) else None
