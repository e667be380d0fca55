"""The runs of a flow, as its journal tells them: which code took what, from when to when.

A run begins where the code that takes a flow's input changes. Units change one after another, so
the stretches of one code in their journals that no other code parts are one run. Its name is the
place in the journal where it began, which is the same whoever reads it, and whenever, as long as
retention leaves it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from ops.connect import Connection
from streams.plan import Plan
from streams.restore import Log
from streams.topology import Topology


@dataclass
class Stretch:
    """Entries of one journal partition that one code wrote, without another's between them."""

    code_version: str
    partition: int
    first: int  # offsets in the journal
    last: int
    began_ms: int  # when its first entry was appended
    ended_ms: int
    taken: Counter[str] = field(default_factory=Counter)  # records, by topic without namespace
    settings: list[dict[str, str]] = field(default_factory=list)  # each once, in order


@dataclass(frozen=True)
class Run:
    """One code at work on a flow. `superseded` says that another one followed."""

    flow: str
    journal: str
    stretches: tuple[Stretch, ...]
    superseded: bool

    @property
    def code_version(self) -> str:
        """The code."""
        return self.stretches[0].code_version

    @property
    def name(self) -> str:
        """Where it began."""
        return f"{self.journal}[{self.stretches[0].partition}]@{self.stretches[0].first}"

    @property
    def began_ms(self) -> int:
        """When its first transaction was committed."""
        return self.stretches[0].began_ms

    @property
    def ended_ms(self) -> int:
        """When its last transaction was, up to now."""
        return max(stretch.ended_ms for stretch in self.stretches)

    @property
    def places(self) -> list[str]:
        """Its entries in the journal, a range for each stretch."""
        return [f"{self.journal}[{s.partition}]@{s.first}..@{s.last}" for s in self.stretches]

    @property
    def taken(self) -> Counter[str]:
        """Records that it took, by topic."""
        return sum((stretch.taken for stretch in self.stretches), Counter())

    @property
    def settings(self) -> list[dict[str, str]]:
        """Settings that differed from their defaults, the latest last; empty when its journal says
        nothing of them, as an older version's.
        """
        found: list[dict[str, str]] = []
        for stretch in sorted(self.stretches, key=lambda s: s.ended_ms):
            found = [one for one in found if one not in stretch.settings] + stretch.settings
        return found


def all_runs(connection: Connection, topology: Topology) -> Iterator[Run]:
    """The runs of all flows that have a journal in the cluster."""
    counts = connection.cluster.partitions()
    for flow in topology.flows.values():
        if flow.steps:
            plan = Plan(flow, connection.registry, connection.settings.namespace)
            with closing(connection.cluster.log()) as log:
                yield from runs_of(plan, log, counts.get(plan.topic(flow.journal), 0))


def runs_of(plan: Plan, log: Log, partitions: int) -> list[Run]:
    """All runs of a flow, the first one first."""
    stretches = [s for number in range(partitions) for s in _stretches(plan, log, number)]
    stretches.sort(key=lambda s: (s.began_ms, s.partition, s.first))
    joined: list[list[Stretch]] = []
    for stretch in stretches:
        if joined and joined[-1][0].code_version == stretch.code_version:
            joined[-1].append(stretch)
        else:
            joined.append([stretch])
    flow = plan.flow
    return [
        Run(flow.name, flow.journal, tuple(one), superseded=number < len(joined))
        for number, one in enumerate(joined, 1)
    ]


def _stretches(plan: Plan, log: Log, partition: int) -> Iterator[Stretch]:
    current: Stretch | None = None
    for stored in log.records(plan.topic(plan.flow.journal), partition):
        entry = plan.journal_codec.decode(stored.value)
        at, now_ms = stored.offset, stored.appended_ms
        if current is None or current.code_version != entry.code_version:
            if current is not None:
                yield current
            current = Stretch(entry.code_version, partition, at, at, now_ms, now_ms)
        current.last, current.ended_ms = at, now_ms
        if entry.settings is not None and entry.settings not in current.settings[-1:]:
            current.settings.append(entry.settings)
        for which, count in zip(entry.runs[::2], entry.runs[1::2], strict=True):
            current.taken[entry.inputs[which]] += count
    if current is not None:
        yield current
