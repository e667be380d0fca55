"""What has to be known of flows to show their records, without loading them.

Loading flows loads the libraries of their models, which takes longer than most looks at a record.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from streams.lineage import names_of
from streams.processor import Learner
from streams.topology import Topology, stream_of


@dataclass(frozen=True)
class LearnerOutline:
    """A learner's topic of examples, their event-time field, and until when (ms) it learns."""

    name: str
    examples: str
    event_time: str
    until_ms: int | None


@dataclass(frozen=True)
class Outline:
    """The topics and processors of some flows by name, their learners, and the event-time field of
    each topic.
    """

    names: dict[bytes, str]
    learners: tuple[LearnerOutline, ...]
    event_times: dict[str, str]

    def as_data(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "names": list(self.names.values()),
            "learners": [asdict(learner) for learner in self.learners],
            "event_times": self.event_times,
        }


def outline(topology: Topology) -> Outline:
    """The outline of what was loaded."""
    processors = [p for flow in topology.flows.values() for p in flow.processors]
    times = {topic: stream_of(c).event_time for topic, c in topology.records.items()}
    learners = [p for p in processors if isinstance(p, Learner)]
    return Outline(
        topology.names,
        tuple(
            LearnerOutline(p.name, topic, times[topic], p.until_ms)
            for p in learners
            for topic in (stream_of(p.examples).topic,)
        ),
        times,
    )


def outline_of(data: dict[str, Any]) -> Outline:
    """What `as_data` gave; KeyError or TypeError of anything else."""
    return Outline(
        names_of(data["names"]),
        tuple(LearnerOutline(**learner) for learner in data["learners"]),
        dict(data["event_times"]),
    )
