"""What learners have learnt, seen from outside: their snapshots, and the fold that these are a
cache of.

Nothing here disturbs a flow that runs. `rebuild` folds a model again from its first example and
compares; `forget` writes nulls over the snapshots of a flow that stands still, so that its next
start folds anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ops.connect import Connection
from schemas.internal import UnitState
from schemas.snapshot import Snapshot
from streams.canonical import first_difference, state_digest
from streams.errors import BrokerError, SnapshotError, StreamsError, TopologyError
from streams.learner_step import LearnerStep
from streams.plan import Plan
from streams.processor import Learner
from streams.reader import KafkaLog
from streams.restore import Examples, last_state, open_snapshot, refold, snapshots_of
from streams.snapshot_log import Parts, last_two
from streams.topology import Flow, Topology, stream_of
from streams.unit import Unit

QUESTIONS_MAX = 1_000  # the last ones, asked of both models where their states differ
REFUSED_MAX = 5
FLUSH_S = 15.0


class NoModel(StreamsError):
    """There is no such model, or nothing of it to look at."""


@dataclass
class Kept:
    """The model of one learner in one partition: the last snapshot that can be used, if any."""

    unit: Unit
    step: LearnerStep
    generation: int
    examples: int | None
    parts: Parts | None = None
    model: Any = None
    refused: list[str] = field(default_factory=list)

    @property
    def owner(self) -> str:
        """Learner and partition: planned@0."""
        return f"{self.step.name}@{self.unit.partition}"

    @property
    def topic(self) -> str:
        """The name of its stream of examples."""
        return stream_of(self.step.learner.examples).topic

    def summary(self) -> dict[str, Any]:
        """What `doa model ls` says about it."""
        first = self.parts[0] if self.parts else None
        behind = None if self.examples is None or first is None else self.examples - first.version
        return {
            "model": self.owner,
            "version": first and first.version,
            "behind": 0 if first is not None and first.offset_hint < 0 else behind,
            "generation": first and first.generation,
            "bytes": sum(len(p.payload) for p in self.parts or ()) or None,
            "parts": first and first.parts,
            "key": first and first.key_id,
            "frozen": first and first.offset_hint < 0,
            "position": first and f"{self.topic}[{self.unit.partition}]#{first.version}",
            "state": self.state,
        }

    @property
    def state(self) -> str:
        """Whether a restart would begin with its last snapshot."""
        if self.parts is not None and self.parts[0].generation == self.generation:
            return "ok"
        if self.parts is not None:
            return f"generation {self.generation} refused"
        return "refused" if self.refused else "forgotten" if self.generation else "none yet"

    @property
    def first(self) -> Snapshot:
        """The first part of the snapshot; NoModel says why there is none."""
        if self.parts is None:
            why = f": {self.refused[0]}" if self.refused else ""
            raise NoModel(f"{self.owner} has no snapshot to compare with{why}")
        return self.parts[0]

    def facts(self) -> dict[str, Any]:
        """What `doa model show` says about it."""
        first = self.parts[0] if self.parts else None
        found: dict[str, Any] = {**self.summary(), "flow": self.unit.plan.flow.name}
        if first is not None:
            last = f"{self.topic}[{self.unit.partition}]#{first.version - 1}"
            found |= {
                "covers": f"{first.version} examples, the last is {last}",
                "time_ms": first.time_ms,
                "code_version": first.code_version,
                "python": first.python,
                "river": first.river,
                "payload_sha256": first.payload_sha256,
                "state_sha256": state_digest(self.model),
            }
        return {**found, "refused": self.refused[:REFUSED_MAX] or None}


@dataclass(frozen=True)
class Rebuilt:
    """A model folded again, beside its snapshot. Where the states differ (a forest holds random
    generators that nobody seeds), what both answer to the last questions decides.
    """

    model: str
    generation: int
    version: int
    seconds: float
    equal: bool
    difference: str | None
    questions: int


def kept_models(
    topology: Topology, connection: Connection, log: KafkaLog, names: Sequence[str] = ()
) -> Iterator[Kept]:
    """The models of all learners, or of those named (`planned`, `planned@0`), by partition."""
    known = {p.name for f in topology.flows.values() for p in f.steps if isinstance(p, Learner)}
    for name in names:
        if name.split("@")[0] not in known:
            raise NoModel(f"there is no model {name!r}; there are: {', '.join(sorted(known))}")
    for flow in topology.flows.values():
        yield from _models_of(flow, connection, log, names)


def _models_of(
    flow: Flow, connection: Connection, log: KafkaLog, names: Sequence[str]
) -> Iterator[Kept]:
    learners = [p for p in flow.steps if isinstance(p, Learner)]
    plan = Plan(flow, connection.registry, connection.settings.namespace, connection.keys)
    counts = connection.cluster.partitions()
    units: dict[int, tuple[Unit, UnitState | None]] = {}
    for learner in learners:
        topic = plan.topic(stream_of(learner.snapshots).topic)
        if topic not in counts:
            raise TopologyError(f"the cluster lacks {topic}; run: doa apply")
        for partition in range(counts[topic]):
            if not names or {learner.name, f"{learner.name}@{partition}"} & set(names):
                if partition not in units:
                    unit = Unit(plan, partition, counts[topic])
                    units[partition] = unit, last_state(unit, log)
                yield _kept(learner, *units[partition], log)


def _kept(learner: Learner, unit: Unit, state: UnitState | None, log: KafkaLog) -> Kept:
    step = next(s for s in unit.steps if isinstance(s, LearnerStep) and s.learner is learner)
    examples = state.written.get(stream_of(learner.examples).topic) if state else None
    generation = state.generations.get(learner.name, 0) if state else 0
    kept = Kept(unit, step, generation, examples)
    found = snapshots_of(unit, step, log, kept.refused.append)
    for parts in last_two(found, generation, kept.refused.append):
        try:
            kept.model = open_snapshot(unit, step, parts)
        except SnapshotError as error:
            kept.refused.append(str(error))
            continue
        kept.parts = parts
        break
    return kept


def rebuild(kept: Kept, log: KafkaLog, told: Callable[[int], None]) -> Rebuilt:
    """Fold a model again from its first example to where its snapshot was taken, and compare."""
    first, began = kept.first, time.monotonic()
    refold(kept.unit, kept.step, Examples(log, kept.unit.partition), stop=first.version, told=told)
    seconds = round(time.monotonic() - began, 3)
    difference, questions = first_difference(kept.step.model, kept.model), 0
    equal = difference is None
    if kept.step.version != first.version:
        equal = False
        difference = f"{kept.step.version} examples were folded, {first.version} are in it"
    elif difference is not None and kept.step.learner.predict is not None:
        equal, questions = _same_answers(kept, log)
    return Rebuilt(
        kept.owner, first.generation, first.version, seconds, equal, difference, questions
    )


def _same_answers(kept: Kept, log: KafkaLog) -> tuple[bool, int]:
    """Whether both models answer the last questions alike, and how many there were."""
    learner, version = kept.step.learner, kept.step.version
    assert learner.questions is not None and learner.predict is not None
    codec = kept.unit.plan.codec(learner.questions)
    topic = kept.unit.plan.topic(stream_of(learner.questions).topic)
    asked = 0
    for stored in log.backwards(topic, kept.unit.partition):
        if asked == QUESTIONS_MAX:
            break
        question = codec.decode(stored.value)
        asked += 1
        one, other = (
            _answer(learner.predict, m, question, version) for m in (kept.step.model, kept.model)
        )
        if one != other:
            return False, asked
    return asked > 0, asked


def _answer(predict: Callable[..., Any], model: Any, question: Any, version: int) -> Any:
    try:
        return predict(model, question, version)
    except Exception as error:  # in the flow, this question became a dead letter
        return f"{type(error).__name__}: {error}"


def forget(kept: Kept, connection: Connection, log: KafkaLog) -> int:
    """Write nulls over the snapshots of a model; how many keys there were.

    Only while its flow stands still: one that runs would go on with what it has in memory.
    """
    plan = kept.unit.plan
    if connection.cluster.members(plan.topic(plan.flow.name)):
        raise NoModel(f"flow {plan.flow.name} is running; stop its workers first, then forget")
    topic = kept.step.edges[kept.step.learner.snapshots].topic
    keys = {stored.key for stored in log.backwards(topic, kept.unit.partition) if stored.value}
    failures: list[str] = []
    producer = connection.cluster.producer()
    for key in sorted(k for k in keys if k is not None):
        producer.produce(
            topic,
            None,
            key,
            kept.unit.partition,
            on_delivery=lambda error, _: failures.append(error.str()) if error else None,
        )
    if producer.flush(FLUSH_S) or failures:
        raise BrokerError(f"{topic}: not all was written: {', '.join(failures) or 'no answer'}")
    return len(keys)
