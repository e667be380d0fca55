"""A campaign: an undisturbed run first, then case by case runs that are disturbed and compared.

Chance comes from one seed. It decides whom a fault strikes and after how much progress, so that a
failure can be sought again; what the system's own timing makes of that, no seed repeats.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import psutil

from ops.chaos import checker
from ops.chaos.cases import Case
from ops.chaos.checker import Differences, Orders
from ops.chaos.ground import Ground, wait_until
from ops.chaos.run import NothingLeft, Run
from ops.chaos.team import Team
from ops.chaos.witness import Contents, Witness
from streams.errors import BrokerError, StreamsError

FINISH_S = 600.0
HANGING_S = 15.0  # more than a transaction's time-out and the broker's look at it
READ_S = 60.0
JITTER = 0.3  # of the way between two faults
FRUITLESS_RUNS_MAX = 5  # in a row, which came to their end before anything struck
FAILURES = (StreamsError, psutil.Error, subprocess.SubprocessError, OSError)  # of one case alone


@dataclass
class Outcome:
    """What came of a case."""

    runs: int = 0
    faults: int = 0
    records: int = 0
    hanging_transactions: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    differences: Differences = field(default_factory=Differences)
    failures: list[str] = field(default_factory=list)

    @property
    def p50_s(self) -> float | None:
        """The median recovery."""
        return statistics.median(self.recoveries_s) if self.recoveries_s else None

    @property
    def max_s(self) -> float | None:
        """The longest recovery."""
        return max(self.recoveries_s, default=None)


class Campaign:
    """Runs cases on one ground. `program` is how a worker is called, without its arguments."""

    def __init__(
        self,
        ground: Ground,
        program: Sequence[str],
        seed: int,
        workers: int,
        say: Callable[[str], None],
    ) -> None:
        self.ground = ground
        self.program = program
        self.seed = seed
        self.workers = workers
        self.say = say
        self.expected: Contents = {}
        self.orders: Orders = {}
        self._totals: dict[int, int] = {}

    def undisturbed(self) -> None:
        """What the flow writes when it is left alone: what all other runs are compared with."""
        outcome = Outcome()
        self.expected = {}
        quiet = Case(lambda run: None, 0, 0, batch_records=5_000)
        self._play(quiet, 0, Random(0), outcome, "undisturbed")
        wrong = [*outcome.failures, *outcome.differences.told]
        if wrong:
            raise StreamsError(f"the undisturbed run failed: {wrong[0]}")
        self.say(f"undisturbed: {outcome.records:,} records in, {sum(self._totals.values()):,} out")

    def expect(self, contents: Contents, orders: Orders) -> None:
        """Compare all further runs with this."""
        self.expected, self.orders = contents, orders
        self._totals = dict.fromkeys(range(self.ground.partitions), 0)
        for (_, unit), records in self.expected.items():
            self._totals[unit] += len(records)

    def play(self, name: str, case: Case, count: int) -> Outcome:
        """Let a fault strike so many times, in as many runs as that takes."""
        outcome, random = Outcome(), Random(f"{self.seed}/{name}")
        fruitless = 0
        while outcome.faults < count and not outcome.failures and not outcome.differences:
            if fruitless >= FRUITLESS_RUNS_MAX:
                outcome.failures.append(
                    f"{outcome.faults} of {count} faults struck in {outcome.runs} runs; "
                    "the runs are too short: give more --events"
                )
                break
            before = outcome.faults
            wanted = min(case.per_run, count - outcome.faults)
            label = f"{name}-{outcome.runs}"
            try:
                self._play(case, wanted, random, outcome, label)
            except FAILURES as error:
                outcome.failures.append(f"{label}: {error}")
                self._look_after(outcome)
            fruitless = 0 if outcome.faults > before else fruitless + 1
            self.say(f"{name}: {outcome.faults} of {count} faults, {_short(outcome)}")
        _judge(case, outcome)
        return outcome

    def _play(
        self,
        case: Case,
        wanted: int,
        random: Random,
        outcome: Outcome,
        label: str,
    ) -> None:
        """One run: begin anew, strike, let it finish, compare."""
        ground = self.ground
        ground.mend()
        ground.reset()
        batch = {"DOA_BATCH_RECORDS_MAX": str(case.batch_records)}
        team = Team(ground, self.program, batch, case.surroundings, label)
        witness = Witness(ground)
        run = Run(ground, team, witness, self._totals, random)
        try:
            for slot in range(self.workers):
                team.start(slot)
            self._strike(case, wanted, run, outcome)
            run.finishes(FINISH_S)
            team.stop(*team.running)
            self._compare(run, outcome)
        finally:
            team.clean_up()
            outcome.runs += 1
            outcome.records += run.records
            outcome.recoveries_s += run.recoveries_s
            for one in (witness, *run.others):
                one.close()

    def _strike(self, case: Case, wanted: int, run: Run, outcome: Outcome) -> None:
        """Strike at shares of the way that chance picks, as long as much is left."""
        total = sum(self.ground.ends.values())
        for number in range(wanted):
            share = (number + 1 + run.random.uniform(-JITTER, JITTER)) / (wanted + 1)
            run.takes(round(share * total), FINISH_S)
            run.number = self.seed + outcome.faults
            try:
                case.strike(run)
                run.progresses()
            except NothingLeft:
                return
            outcome.faults += 1

    def _compare(self, run: Run, outcome: Outcome) -> None:
        """No transaction hangs; the streams, the journal and every reader agree."""
        self._count_hanging(outcome)
        found = checker.read(self.ground)
        journal = Differences()
        orders = checker.check_journal(self.ground, journal)
        if not self.expected:
            self.expect(found, orders)
        differences = checker.compare(found, self.expected)
        checker.compare_orders(orders, self.orders, differences)
        differences.add(journal)
        for name, reader in (("witness", run.witness), *(("slow reader", r) for r in run.others)):
            wait_until(f"the {name} has read to the end", reader.caught_up, READ_S)
            if reader.contents != found:
                outcome.failures.append(f"the {name} saw something else than the final streams")
        outcome.differences.add(differences)

    def _look_after(self, outcome: Outcome) -> None:
        """A run that did not end may have waited for a transaction that hangs."""
        try:
            self.ground.mend()
            self._count_hanging(outcome)
        except FAILURES as error:
            outcome.failures.append(f"not mended: {error}")

    def _count_hanging(self, outcome: Outcome) -> None:
        """Transactions that are open although everybody who could end them has had the time to."""
        try:
            wait_until("no transaction is open", lambda: not self.ground.hanging(), HANGING_S)
        except StreamsError as error:
            outcome.failures.append(str(error))
            with contextlib.suppress(BrokerError):
                outcome.hanging_transactions += len(self.ground.hanging())


def _judge(case: Case, outcome: Outcome) -> None:
    """Say in words what is not as it should be."""
    for name, count in outcome.differences.counts().items():
        if count:
            outcome.failures.append(f"{count} records {name.replace('_', ' ')}")
    outcome.failures += outcome.differences.told
    limits = (("median", outcome.p50_s, case.p50_s), ("longest", outcome.max_s, case.max_s))
    for which, found, limit in limits:
        if found is not None and limit is not None and found > limit:
            outcome.failures.append(f"the {which} recovery took {found:.1f} s, over {limit:.0f} s")


def _short(outcome: Outcome) -> str:
    if outcome.failures:
        return f"FAILED: {outcome.failures[0]}"
    found = outcome.differences
    recovery = f", recovery {outcome.p50_s:.1f} s (p50)" if outcome.p50_s is not None else ""
    return ("differs: " + found.told[0]) if found else f"all streams equal{recovery}"
