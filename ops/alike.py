"""Which streams hold the same already: fields of one name and unit, or of one meaning and unit, in
what processors write. Who wants a feature finds here who computes it, and which models it reaches.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ops.catalog import FieldFacts, fields_of, models_below, named
from streams.errors import TopologyError
from streams.processor import Learner, RecordClass
from streams.topology import Topology, stream_of

ALIKE_LEAST = 0.8  # of the words of two meanings, those that both have
WORDS_LEAST = 3  # of a meaning, or it says too little to be compared
NEAR_MAX = 6
SMALL_WORDS = frozenset(
    ("a", "an", "and", "as", "at", "by", "for", "from", "if", "in", "is", "it", "its", "of", "on",
     "or", "than", "that", "the", "to")
)  # fmt: skip
BY_NAME, BY_MEANING = "name", "meaning"


@dataclass(frozen=True)
class Alike:
    """A field of a derived stream. `taken_from` are the streams its writers read that have a field
    of the same name: there it may only be passed on.
    """

    field: str
    topic: str
    by: str
    unit: str | None
    doc: str
    written_by: tuple[str, ...]
    taken_from: tuple[str, ...]
    models: tuple[str, ...]


def alike(topology: Topology, topic: str, wanted: FieldFacts) -> list[Alike]:
    """The fields of other derived streams that are called like a field, or mean the same. None for
    what only says which record it is: keys, event times and unique names.
    """
    if wanted.name in _identities(topology):
        return []
    found = [
        _found(topology, record, one, by)
        for name, record in topology.records.items()
        if name != topic and _derived(topology, record)
        for one in fields_of(record)
        if (by := _match(one, wanted)) is not None and one.name not in _identities(topology)
    ]
    return sorted(found, key=lambda one: (one.by == BY_MEANING, one.topic, one.field))


def computed(topology: Topology, name: str) -> list[Alike]:
    """The fields of derived streams that are called so, and those that mean the same as one that
    is. TopologyError tells names that are like it, if no stream has a field of this one.
    """
    known = [(t, f) for t, r in topology.records.items() for f in fields_of(r)]
    called = [(topic, one) for topic, one in known if one.name == name]
    if not called:
        near = difflib.get_close_matches(name, {one.name for _, one in known}, NEAR_MAX)
        holding = sorted({one.name for _, one in known if name in one.name} - set(near))
        perhaps = f"; perhaps: {', '.join([*near, *holding][:NEAR_MAX])}" if near or holding else ""
        raise TopologyError(
            f"no stream has a field {name!r}{perhaps}; doa catalog WORDS searches their meanings"
        )
    found = {
        (topic, one.name): _found(topology, topology.records[topic], one, BY_NAME)
        for topic, one in called
        if _derived(topology, topology.records[topic]) and name not in _identities(topology)
    }
    for topic, one in called:
        for other in alike(topology, topic, one):
            found.setdefault((other.topic, other.field), other)
    return sorted(found.values(), key=lambda one: (one.by == BY_MEANING, one.topic, one.field))


def _match(one: FieldFacts, wanted: FieldFacts) -> str | None:
    if one.unit != wanted.unit:
        return None
    if one.name == wanted.name:
        return BY_NAME
    words, others = _words(one.doc), _words(wanted.doc)
    if min(len(words), len(others)) < WORDS_LEAST:
        return None
    return BY_MEANING if len(words & others) / len(words | others) >= ALIKE_LEAST else None


def _words(doc: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", doc.casefold())) - SMALL_WORDS


def _found(topology: Topology, record: RecordClass, one: FieldFacts, by: str) -> Alike:
    return Alike(
        one.name,
        stream_of(record).topic,
        by,
        one.unit,
        one.doc,
        tuple(named(flow.name, p) for flow, p in topology.writers(record)),
        tuple(dict.fromkeys(_taken_from(topology, record, one.name))),
        tuple(models_below(topology, record)),
    )


def _taken_from(topology: Topology, record: RecordClass, name: str) -> Iterator[str]:
    for _, processor in topology.writers(record):
        read = processor.reads
        if isinstance(processor, Learner):  # what it learns from is no part of what it says
            read = () if processor.questions is None else (processor.questions,)
        yield from (stream_of(one).topic for one in read if name in one.model_fields)


def _derived(topology: Topology, record: RecordClass) -> bool:
    return any(p.kind != "source" for _, p in topology.writers(record))


def _identities(topology: Topology) -> frozenset[str]:
    streams = [stream_of(record) for record in topology.records.values()]
    names = [(s.key, s.event_time, s.unique or s.key) for s in streams]
    return frozenset(name for three in names for name in three)
