"""How many dead letters a flow puts up with: by default any number, it goes on after each.

A flow that would rather stop says so in its package, beside its `RANK`:

    TOLERANCES = (Tolerance(letters=10, records=1_000, error=Undecodable),)

When a limit is passed the worker commits what it has, the letter that was one too many included,
and pauses with the coordinate of its record; `doa control resume` has it go on, counting anew. An
outage is no dead letter: it pauses every flow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streams.errors import DataError


@dataclass(frozen=True)
class Tolerance:
    """At most `letters` dead letters among the last `records` input records of a unit.

    Parameters
    ----------
    error
        The class of errors that count, its subclasses included.
    processor
        Whose refusals count; "" stands for the intake, before any processor, None for all.
    """

    letters: int
    records: int
    error: type[DataError] = DataError
    processor: str | None = None


class Watch:
    """Counts the dead letters of one partition against the tolerances of its flow.

    It outlives the unit, which is dropped when a transaction is aborted; what was counted in that
    transaction is then forgotten, since it is going to be counted again.
    """

    def __init__(self, tolerances: tuple[Tolerance, ...]) -> None:
        self._tolerances = tolerances
        self._recent = [deque[int](maxlen=t.letters + 1) for t in tolerances]
        self._kept = [recent.copy() for recent in self._recent]
        self._before = self._committed = 0  # records of units before this one; of all commits

    def note(
        self, taken: int, processor: str, error: DataError, named: Callable[[], str]
    ) -> str | None:
        """Count a letter of the unit's input record `taken`; a sentence when that is one too many,
        and counting begins anew. `named` says which letter it is.
        """
        number = self._before + taken
        for tolerance, recent in zip(self._tolerances, self._recent, strict=True):
            if not isinstance(error, tolerance.error):
                continue
            if tolerance.processor not in (None, processor):
                continue
            recent.append(number)
            if len(recent) > tolerance.letters and number - recent[0] < tolerance.records:
                self._forget()
                return (
                    f"dead letter of {named()} is number "
                    f"{tolerance.letters + 1} among the last {tolerance.records} records; "
                    f"at most {tolerance.letters} are tolerated"
                )
        return None

    def _forget(self) -> None:
        for recent in self._recent:
            recent.clear()

    def mark(self, taken: int) -> Callable[[], None]:
        """What to call if the transaction in which the unit took its record `taken`, and no later
        one, ends well: it keeps what was counted up to now.
        """
        committed, kept = self._before + taken, [recent.copy() for recent in self._recent]

        def keep() -> None:
            self._committed, self._kept = committed, kept

        return keep

    def rewind(self) -> None:
        """Count for a new unit, which goes on after the last commit."""
        self._before = self._committed
        self._recent = [kept.copy() for kept in self._kept]


class Watches:
    """The watches of all partitions that a worker has had since it started."""

    def __init__(self, tolerances: tuple[Tolerance, ...]) -> None:
        self._tolerances = tolerances
        self._watches: dict[int, Watch] = {}

    def of(self, partition: int) -> Watch | None:
        """The watch of a partition, for a new unit; None where all is tolerated."""
        if not self._tolerances:
            return None
        watch = self._watches.setdefault(partition, Watch(self._tolerances))
        watch.rewind()
        return watch

    def mark(self, taken: Mapping[int, int]) -> Callable[[], None]:
        """What to call if a commit ends well; `taken` says how many records the unit of each
        partition took.
        """
        keeps = [w.mark(taken[number]) for number, w in self._watches.items() if number in taken]

        def keep() -> None:
            for one in keeps:
                one()

        return keep
