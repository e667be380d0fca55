"""What has to be known of flows to show their records, without loading the flows.

That would load the libraries of their models too, which takes longer than most looks at a record.
"""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any

from streams.lineage import names_of
from streams.processor import Learner, RecordClass
from streams.sensitivity import keys_of
from streams.topology import Topology, stream_of


@dataclass(frozen=True)
class LearnerOutline:
    """A learner's topic of examples, their event-time field, until when (ms) it learns, and the
    topic of its questions, if it has any.
    """

    name: str
    examples: str
    event_time: str
    until_ms: int | None
    questions: str | None


@dataclass(frozen=True)
class Outline:
    """The topics and processors of some flows by name, their learners, the record class of each
    topic, how sensitive the keys of internal ones may be, and the version of the code.
    """

    names: dict[bytes, str]
    learners: tuple[LearnerOutline, ...]
    records: dict[str, RecordClass]
    keys: dict[str, tuple[str, ...]]
    code_version: str

    def as_data(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "names": list(self.names.values()),
            "learners": [asdict(learner) for learner in self.learners],
            "records": {t: [c.__module__, c.__qualname__] for t, c in self.records.items()},
            "keys": self.keys,
            "code_version": self.code_version,
        }


def outline(topology: Topology) -> Outline:
    """The outline of what was loaded."""
    processors = [p for flow in topology.flows.values() for p in flow.processors]
    learners = tuple(
        LearnerOutline(
            p.name,
            stream.topic,
            stream.event_time,
            p.until_ms,
            None if p.questions is None else stream_of(p.questions).topic,
        )
        for p in processors
        if isinstance(p, Learner)
        for stream in (stream_of(p.examples),)
    )
    records, keys = topology.records, keys_of(topology)
    return Outline(topology.names, learners, records, keys, topology.code_version)


def outline_of(data: dict[str, Any]) -> Outline:
    """What `as_data` gave. KeyError, TypeError, AttributeError or ImportError of anything else."""
    return Outline(
        names_of(data["names"]),
        tuple(LearnerOutline(**learner) for learner in data["learners"]),
        {
            topic: attrgetter(name)(importlib.import_module(module))
            for topic, (module, name) in data["records"].items()
        },
        {topic: tuple(kinds) for topic, kinds in data["keys"].items()},
        data["code_version"],
    )
