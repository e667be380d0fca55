"""Where a record came from, and what followed from it.

Every derived record names its direct parents in its header. A parent is a record; or a range, which
an aggregate names instead of thousands; or, of what a learner wrote, a model: the examples that it
had learnt by then. Up, ranges and models are not followed: their records are ids like others. Down,
those that name a range with the record in it are counted, of each stream the first is followed; and
the learners of an example are named.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol

from streams.errors import NotFound
from streams.finder import Finder
from streams.lineage import DERIVED, Reference
from streams.merge import Stored
from streams.outline import LearnerOutline, Outline
from streams.shown import Shown, View

NODES_MAX = 2_000


@dataclass(frozen=True)
class Span:
    """Records of one partition that name a range in which a record lies: so many between the first
    and the last of them.
    """

    between: Reference
    count: int


class Children(Protocol):
    """Who names a record as a parent."""

    def children(self, parent: Reference) -> Iterable[Reference]:
        """The records that name it."""

    def spans(self, parent: Reference) -> Iterable[Span]:
        """The records that name a range with it in it."""


@dataclass(frozen=True)
class Node:
    """One record of a trace, or a range of `count` records, or a model, which has learnt a range.

    `missing` says why nothing is known of a record.
    """

    id: str
    kind: str  # "event", "record", "dead letter", "range" or "model"
    reference: Reference
    shown: Shown | None = None
    missing: str | None = None
    count: int = 1


@dataclass(frozen=True)
class Link:
    """One record was made from another, a range or a model."""

    child: str
    parent: str


@dataclass
class Trace:
    """A graph of records: nodes by id, the first is what was asked for."""

    root: str
    nodes: dict[str, Node]
    links: dict[Link, None] = field(default_factory=dict)  # in the order in which they were found
    cut: int = 0  # records that were not followed: too deep, or too many

    def add(self, node: Node) -> bool:
        """Add a node; False if it is there already."""
        return self.nodes.setdefault(node.id, node) is node

    def link(self, child: Node, parent: Node) -> None:
        """Note what a record was made from."""
        self.links[Link(child.id, parent.id)] = None


class Tracer:
    """Follows records of some flows through a log."""

    def __init__(self, outline: Outline, finder: Finder, view: View) -> None:
        self._finder = finder
        self._view = view
        self._learners = {learner.name: learner for learner in outline.learners}

    def up(self, root: Reference, depth: int | None = None) -> Trace:
        """What a record came from, so many steps up, or to the events. NotFound if there is no such
        record; a parent that is gone is a node that says why.
        """
        first, stored = self._found(root)
        trace = Trace(first.id, {first.id: first})
        waiting = deque([(first, stored, 0)])
        while waiting:
            child, stored, level = waiting.popleft()
            parents = self._view.parents(stored)
            if parents and (level == depth or len(trace.nodes) >= NODES_MAX):
                trace.cut += 1
                continue
            for model in self._model(child):
                trace.add(model)
                trace.link(child, model)
            for parent in parents:
                node, found = self._named(parent)
                trace.link(child, node)
                if trace.add(node) and found is not None:
                    waiting.append((node, found, level + 1))
        return trace

    def down(self, root: Reference, known: Children, depth: int | None = None) -> Trace:
        """What followed from a record, so many steps down, or to the end. NotFound if there is no
        such record.
        """
        asked, _ = self._found(root)
        trace = Trace(asked.id, {asked.id: asked})
        waiting = deque([(asked, 0)])
        while waiting:
            parent, level = waiting.popleft()
            children = iter(known.children(parent.reference))
            spans = known.spans(parent.reference)
            if level == depth or len(trace.nodes) >= NODES_MAX:
                trace.cut += any(True for _ in (*islice(children, 1), *spans))
                continue
            for model in self._learnt(parent):
                trace.add(model)
                trace.link(model, parent)
            for child in islice(children, NODES_MAX):
                self._follow(trace, child, parent, waiting, level)
            trace.cut += sum(1 for _ in children)
            for span in spans:
                above = parent
                if span.count > 1:
                    above = Node(str(span.between), "range", span.between, count=span.count)
                    trace.add(above)
                    trace.link(above, parent)
                self._follow(trace, replace(span.between, last=None), above, waiting, level)
        return trace

    def _follow(
        self,
        trace: Trace,
        child: Reference,
        parent: Node,
        waiting: deque[tuple[Node, int]],
        level: int,
    ) -> None:
        node, found = self._named(child)
        trace.link(node, parent)
        if trace.add(node) and found is not None:
            waiting.append((node, level + 1))

    def _named(self, reference: Reference) -> tuple[Node, Stored | None]:
        """The node of a record or range that another one names, and the record if it is there."""
        if reference.last is not None:
            count = reference.last - reference.number + 1
            return Node(str(reference), "range", reference, count=count), None
        try:
            return self._found(reference)
        except NotFound as error:
            return Node(str(reference), "record", reference, missing=str(error)), None

    def _found(self, reference: Reference) -> tuple[Node, Stored]:
        """A record and its node; of a derived one by its number, however it was asked for."""
        stored = self._finder.find(reference)
        topic, partition = reference.topic, reference.partition
        shown = self._view.show(topic, partition, stored)
        origin = self._view.origin(stored)
        if origin is not None:
            reference = Reference(topic, partition, DERIVED, origin.n)
        kind = "event" if topic.split(".")[1:2] == ["event"] else "record"
        if "error.class" in shown.headers:
            kind = "dead letter"
        return Node(shown.id, kind, reference, shown), stored

    def _model(self, child: Node) -> list[Node]:
        """The model that a record was made with, if any: a position in a stream of examples."""
        assert child.shown is not None, "only a record that was found is followed"
        learner = self._learners.get(child.shown.processor or "")
        version = child.shown.model_version
        return [_model(learner, child.reference, version)] if learner and version else []

    def _learnt(self, example: Node) -> list[Node]:
        """The first models that have learnt an example, if it is one."""
        reference, shown = example.reference, example.shown
        if shown is None or shown.value is None or reference.kind != DERIVED:
            return []
        found = []
        for learner in self._learners.values():
            until_ms, at_ms = learner.until_ms, shown.value.get(learner.event_time, 0)
            if learner.examples == reference.topic and (
                until_ms is None or (isinstance(at_ms, int) and at_ms < until_ms)
            ):
                found.append(_model(learner, reference, reference.number + 1))
        return found


def _model(learner: LearnerOutline, beside: Reference, version: int) -> Node:
    """A model of the partition of another record, which has learnt so many examples."""
    partition = beside.partition
    learnt = Reference(learner.examples, partition, DERIVED, 0, version - 1)
    return Node(f"model {learner.name}@{partition}#{version}", "model", learnt, count=version)
