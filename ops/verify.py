"""Whether records are what the log leads to: they are derived again from the journal and compared.

A unit is a function of the input that its journal says it took, so taking the same again in one
pass gives every feature, prediction, example and score anew, ids and parents with them. Records are
sampled first and derived then, so a flow that runs meanwhile does no harm. Not compared are ids of
schemas, and the version of the code: other code may give the same, and it is told how many records
are of other code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ops.connect import Connection
from ops.sample import sample
from streams.errors import StreamsError, TopologyError
from streams.finder import BoundedLog, Finder
from streams.journal import InputGone, replay_journal
from streams.lineage import FOREIGN, HEADER, Origin, Reference, header_number
from streams.merge import Stored
from streams.plan import Plan
from streams.processor import Learner
from streams.shown import View
from streams.topology import Flow, Topology
from streams.trace_context import HEADERS

DIFFERENT_MAX = 100  # told in full; all are counted
FIELDS_MAX = 5

FOREIGN_N = -1  # the number of a record without one
Wanted = dict[tuple[str, int], list[Stored]]  # of one partition: topic without namespace, and n
Drawn = dict[int, Wanted]
Changed = tuple[tuple[str, str], ...]  # settings that differed from their defaults


class CannotVerify(StreamsError):
    """What a record was made from is gone, or it is not made from anything."""


@dataclass
class Verdict:
    """What came of it. `different` says of each record what differs."""

    checked: int = 0
    equal: int = 0
    different: list[dict[str, Any]] = field(default_factory=list)
    other_code: bool = False  # whether the flow was run by another version up to here
    codes: Counter[str] = field(default_factory=Counter)  # records by the version of their code
    settings: Counter[Changed] = field(default_factory=Counter)  # records by those of their run

    def differs(self, record: str, what: str, **details: Any) -> None:
        """Note a record that is not what the log leads to."""
        if len(self.different) < DIFFERENT_MAX:
            self.different.append({"id": record, "differs": what, **details})


def flow_of(topology: Topology, topic: str) -> Flow:
    """The flow that writes a stream; CannotVerify where nothing of it can be derived."""
    record = topology.records.get(topic)
    if record is None:
        raise TopologyError(f"there is no stream {topic!r}; doa graph lists them")
    for flow, processor in topology.writers(record):
        if isinstance(processor, Learner) and record is processor.snapshots:
            raise CannotVerify(
                f"{topic} holds snapshots, which are caches; doa model rebuild compares them"
            )
        if processor.kind != "source":
            return flow
    raise CannotVerify(f"{topic} holds raw events: nothing in the log leads to them")


def partitions_of(connection: Connection, plan: Plan, streams: Iterable[str] = ()) -> int:
    """How many partitions a flow has. CannotVerify where there is no topic for its input, for its
    journal or for one of these streams.
    """
    counts = connection.cluster.partitions()
    internal = (plan.flow.journal, *streams)
    for topic in (*(i.topic for i in plan.inputs), *map(plan.topic, internal)):
        if topic not in counts:
            raise CannotVerify(f"there is no topic {topic} in the cluster; run: doa apply")
    return counts[plan.inputs[0].topic]


def references(drawn: Drawn) -> list[Reference]:
    """What was drawn, by id."""
    return [
        Reference(topic, partition, FOREIGN, stored.offset)
        for partition, wanted in drawn.items()
        for (topic, _), records in wanted.items()
        for stored in records
    ]


class Verifier:
    """Derives records of one flow again."""

    def __init__(self, plan: Plan, view: View, partitions: int) -> None:
        self._plan = plan
        self._view = view
        self._partitions = partitions
        self._names = {plan.topic(name): name for name in plan.flow.derived}

    def sample(self, log: BoundedLog, topics: Iterable[str], most: int, seed: int) -> Drawn:
        """Up to so many records of each stream, drawn at random from all its partitions."""
        drawn: Drawn = {partition: {} for partition in range(self._partitions)}
        for topic in topics:
            name = self._plan.topic(topic)
            for partition, stored in sample(log, name, self._partitions, most, seed):
                self._draw(drawn[partition], topic, stored)
        return drawn

    def one(self, log: BoundedLog, reference: Reference) -> Drawn:
        """One record; NotFound if there is none."""
        stored = Finder(log, self._plan.prefix).find(reference)
        drawn: Drawn = {reference.partition: {}}
        self._draw(drawn[reference.partition], reference.topic, stored)
        return drawn

    def verify(
        self,
        log: BoundedLog,
        drawn: Drawn,
        told: Callable[[], None] = lambda: None,
    ) -> Verdict:
        """Derive them again; `told` hears of each transaction. CannotVerify if input is gone."""
        verdict = Verdict()
        for partition, wanted in drawn.items():
            verdict.checked += sum(map(len, wanted.values()))
            if wanted:
                self._derive(log, partition, wanted, verdict, told)
            for (topic, n), records in wanted.items():
                for stored in records:
                    mark = f"@{stored.offset}" if n == FOREIGN_N else f"#{n}"
                    verdict.differs(
                        f"{topic}[{partition}]{mark}", "the journal does not lead to it"
                    )
        return verdict

    def _draw(self, wanted: Wanted, topic: str, stored: Stored) -> None:
        origin = self._view.origin(stored)
        n = FOREIGN_N if origin is None else origin.n
        wanted.setdefault((topic, n), []).append(stored)

    def _derive(
        self,
        log: BoundedLog,
        partition: int,
        wanted: Wanted,
        verdict: Verdict,
        told: Callable[[], None],
    ) -> None:
        """Take the input of a unit again, in the order of its journal, until all was derived."""
        under: Changed = ()
        try:
            for entry, outputs in replay_journal(self._plan, log, partition, self._partitions):
                if entry.settings is not None:
                    under = tuple(sorted(entry.settings.items()))
                before = verdict.codes.total()
                verdict.other_code |= entry.code_version != self._plan.flow.code_version
                for topic, key, value, headers in outputs:
                    if topic in self._names:
                        data = key.encode() if isinstance(key, str) else key
                        made = Stored(-1, data, value, dict(headers))
                        self._compare(self._names[topic], partition, made, wanted, verdict)
                verdict.settings[under] += verdict.codes.total() - before
                told()
                if not wanted:
                    return
        except InputGone as error:
            raise CannotVerify(
                f"cannot verify before what is left of the input: {error}"
            ) from error

    def _compare(
        self, topic: str, partition: int, made: Stored, wanted: Wanted, verdict: Verdict
    ) -> None:
        """Compare all records that bear the number of a derived one; only one can be it."""
        n = header_number(made.headers[HEADER])
        if (topic, n) not in wanted:
            return
        derived = self._view.origin(made)
        assert derived is not None, "a unit writes whole headers"
        met = False
        for stored in wanted.pop((topic, n)):
            origin = self._view.origin(stored)
            assert origin is not None, "it was found by its number"
            verdict.codes[origin.code_version] += 1
            what = _differences(stored, origin, made, derived, other_code=verdict.other_code)
            if what is None and not met:
                verdict.equal, met = verdict.equal + 1, True
            elif what is None:
                verdict.differs(
                    f"{topic}[{partition}]@{stored.offset}", "a copy: it bears an id twice"
                )
            else:
                details = self._details(topic, partition, stored, made)
                verdict.differs(f"{topic}[{partition}]#{n}", what, **details)

    def _details(self, topic: str, partition: int, stored: Stored, made: Stored) -> dict[str, Any]:
        """What a record says, and what is derived, of each field that differs."""
        said = self._view.show(topic, partition, stored)
        derived = self._view.show(topic, partition, made)
        names = self._differing(topic, partition, stored, made)
        left, right = said.value or {}, derived.value or {}
        return {
            "fields": {n: [left.get(n), right.get(n)] for n in names[:FIELDS_MAX]},
            "code": [said.code_version, derived.code_version],
            "model": [said.model_version, derived.model_version],
            "parents": [said.parents, derived.parents],
        }

    def _differing(self, topic: str, partition: int, stored: Stored, made: Stored) -> list[str]:
        """The fields that differ, those that may not be seen too."""
        view = self._view.unmasked()
        left, right = (view.show(topic, partition, one).value or {} for one in (stored, made))
        return [name for name in {**left, **right} if left.get(name) != right.get(name)]


def _differences(
    stored: Stored, origin: Origin, made: Stored, derived: Origin, *, other_code: bool
) -> str | None:
    """What differs first: what it was made from, with which model, or what came of that. After
    other code has run nobody is to blame: its state and its counts go on in what follows.
    """
    other_code |= origin.code_version != derived.code_version
    reason = _difference(stored, origin, made, derived)
    if reason is not None and other_code:
        return "code: another version has run, up to here or here"
    return reason


def _difference(stored: Stored, origin: Origin, made: Stored, derived: Origin) -> str | None:
    if origin.processor != derived.processor:
        return f"processor: {derived.processor} writes this"
    if origin.parents != derived.parents:
        return "input: it names other parents"
    if origin.model_version != derived.model_version:
        return "model: it names another version"
    if stored.key != made.key or (stored.value or b"")[5:] != (made.value or b"")[5:]:
        return "value: the same input, model and code lead to another"
    if any(stored.headers.get(name) != made.headers.get(name) for name in HEADERS):
        return "trace: it bears another trace context than what it was made from"
    return None
