"""What a transaction took from its inputs, in order: for the offsets it commits and the journal."""

from __future__ import annotations

from schemas.internal import JournalEntry


class Taken:
    """Runs of records, begun anew with every transaction."""

    def __init__(self, inputs: list[str]) -> None:
        self._inputs = inputs
        self.runs: list[int] = []
        self.starts = [-1] * len(inputs)
        self.settings: dict[str, str] | None = None  # of a run that begins here; see `JournalEntry`
        self.reached: dict[int, int] = {}  # by input: the offset after the last record

    def note(self, source: int, offset: int) -> None:
        """One record was taken."""
        if self.starts[source] < 0:
            self.starts[source] = offset
        self.reached[source] = offset + 1
        runs = self.runs
        if runs and runs[-2] == source:
            runs[-1] += 1
        else:
            runs += (source, 1)

    def note_run(self, source: int, first: int, last: int, count: int) -> None:
        """So many records of one input were taken, from one offset to another."""
        self.note(source, first)
        self.runs[-1] += count - 1
        self.reached[source] = last + 1

    def entry(self, code_version: str, time_ms: int) -> JournalEntry:
        """The journal's record of the transaction, in which the unit reached this time."""
        return JournalEntry(
            code_version=code_version,
            inputs=self._inputs,
            starts=self.starts,
            runs=self.runs,
            time_ms=time_ms,
            settings=self.settings,
        )
