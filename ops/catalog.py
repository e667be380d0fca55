"""What streams there are, found by words; and all about one: its meaning, who writes and reads it,
how its schema has changed, how much comes and how old the last record is.
"""

from __future__ import annotations

import re
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from ops.connect import Connection
from schemas.rules import extra_of
from streams.errors import TopologyError
from streams.finder import number_of
from streams.outline import Outline
from streams.processor import Learner, RecordClass
from streams.shown import View
from streams.topology import AnyProcessor, Topology, outputs_of, stream_of

SAMPLES = 3
RATE_RECORDS = 100  # of a partition, over which a rate is told
WORD = re.compile(r"\w+")
TOPIC_WEIGHT, NAME_WEIGHT, TEXT_WEIGHT = 4, 2, 1


@dataclass(frozen=True)
class Hit:
    """A stream in which all words were found; `fields` are those in which some were."""

    topic: str
    doc: str
    owner: str
    fields: tuple[str, ...]
    weight: int


@dataclass(frozen=True)
class FieldFacts:
    """What is declared of a field."""

    name: str
    kind: str
    doc: str
    unit: str | None
    sensitivity: str


def search(topology: Topology | Outline, query: str = "") -> list[Hit]:
    """The streams that a query is about, the best first; all of them without one. Every word must
    be one of the stream: of topic, owner, doc, or of a field's name, doc, unit, sensitivity. Where
    no stream has them all, they may be beginnings of words.
    """
    words = WORD.findall(query.casefold())
    for ending in (r"(?![^\W_])", ""):
        patterns = [re.compile(rf"(?<![^\W_]){re.escape(word)}{ending}") for word in words]
        hits = [hit for record in topology.records.values() if (hit := _hit(record, patterns))]
        if hits:
            return sorted(hits, key=lambda hit: (-hit.weight, hit.topic))
    return []


def fields_of(record: RecordClass) -> list[FieldFacts]:
    """The fields of a record, as declared."""
    return [
        FieldFacts(
            name,
            str(getattr(info.annotation, "__name__", info.annotation)),
            info.description or "",
            extra_of(info).get("unit"),
            extra_of(info).get("sensitivity", "public"),
        )
        for name, info in record.model_fields.items()
    ]


def record_of(topology: Topology | Outline, topic: str) -> RecordClass:
    """The record class of a declared stream; TopologyError lists the likely ones."""
    record = topology.records.get(topic)
    if record is None:
        near = [hit.topic for hit in search(topology, topic.rsplit(".", 1)[-1])]
        known = ", ".join(near or topology.records)
        raise TopologyError(f"there is no stream {topic!r}; perhaps: {known}")
    return record


def declared(topology: Topology, topic: str) -> dict[str, Any]:
    """What the declarations say of a stream; TopologyError lists the likely ones."""
    record = record_of(topology, topic)
    stream = stream_of(record)
    return {
        "topic": topic,
        "doc": _doc(record),
        "owner": stream.owner,
        "key": stream.key,
        "event_time": stream.event_time,
        "retention_days": stream.retention_days,
        "compacted": stream.compacted,
        "fields": [asdict(one) for one in fields_of(record)],
        "written_by": [named(flow.name, p) for flow, p in topology.writers(record)],
        "read_by": [named(flow.name, p) for flow, p in topology.readers(record)],
        "models": models_below(topology, record),
    }


def models_below(topology: Topology, record: RecordClass) -> list[str]:
    """The learners that a stream reaches: that read it, or what is made from it."""
    found: dict[str, None] = {}
    seen, waiting = {record}, [record]
    while waiting:
        for _, processor in topology.readers(waiting.pop()):
            if isinstance(processor, Learner):
                found[processor.name] = None
            new = set(outputs_of(processor)) - seen
            seen |= new
            waiting += new
    return sorted(found)


def live(connection: Connection, view: View, topic: str) -> dict[str, Any]:
    """What is in the cluster of a stream; samples as the view shows them."""
    name = connection.settings.prefix + topic
    newest, rates, count = [], list[float](), 0
    with closing(connection.cluster.log()) as log:
        for partition in range(connection.cluster.partitions().get(name, 0)):
            last = list(islice(log.backwards(name, partition), RATE_RECORDS))
            if not last:
                continue
            number = number_of(last[0])
            count += last[0].offset + 1 if number is None else number + 1
            seconds = (last[0].appended_ms - last[-1].appended_ms) / 1_000
            rates += [(len(last) - 1) / seconds] if seconds else []  # else they came at once
            newest += [(one.appended_ms, view.show(name, partition, one)) for one in last[:SAMPLES]]
    newest.sort(key=lambda one: -one[0])
    samples = [shown for _, shown in newest[:SAMPLES]]
    return {
        "records": count,
        "records_per_second": round(sum(rates), 1) if rates else None,
        "seconds_since_last": round(time.time() - newest[0][0] / 1_000) if newest else None,
        "samples": [{"id": s.id, **(s.value or {})} for s in samples],
    }


def _hit(record: RecordClass, words: list[re.Pattern[str]]) -> Hit | None:
    stream, weight = stream_of(record), 0
    facts = fields_of(record)
    named: dict[str, None] = {}
    for word in words:
        found = TOPIC_WEIGHT * _in(word, stream.topic)
        found += TEXT_WEIGHT * (_in(word, stream.owner) + _in(word, _doc(record)))
        for one in facts:
            texts = (one.doc, one.unit or "", one.sensitivity)
            of_field = NAME_WEIGHT * _in(word, one.name)
            of_field += TEXT_WEIGHT * sum(_in(word, text) for text in texts)
            if of_field:
                named[one.name] = None
                found += of_field
        if not found:
            return None
        weight += found
    return Hit(stream.topic, _doc(record), stream.owner, tuple(named), weight)


def _in(word: re.Pattern[str], text: str) -> int:
    return int(word.search(text.casefold()) is not None)


def _doc(record: RecordClass) -> str:
    return " ".join((record.__doc__ or "").split("\n\n", maxsplit=1)[0].split())


def named(flow: str, processor: AnyProcessor) -> str:
    """A processor, as the catalogue calls it."""
    return f"{flow}/{processor.name} ({processor.kind})"
