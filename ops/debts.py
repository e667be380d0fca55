"""The debts of systems that learn, as far as a topology shows them: told, not refused.

References
----------
Sculley et al.: Hidden technical debt in machine learning systems. NeurIPS 2015. Paleyes, Urma,
Lawrence: Challenges in deploying machine learning. ACM Computing Surveys 55 (2022).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import SecretStr

from schemas.record import Record
from streams.processor import Learner
from streams.settings import Settings
from streams.topology import Topology, outputs_of, stream_of

ENDS = ("signal", "alert", "model")  # stages that are for people and for the runtime


def debts(topology: Topology) -> list[str]:
    """Streams that nobody reads, and models that feed on what models said, a sentence each.

    A loop, a prediction that reaches the questions of its own learner, is none of them: it is
    refused before anything runs (`streams.validation`).
    """
    return [*_unused(topology), *_cascades(topology)]


def changed_settings(settings: Settings) -> dict[str, tuple[Any, Any]]:
    """Settings that differ from their defaults: value and default; secrets are not told."""
    return {
        name: (_plain(getattr(settings, name)), _plain(field.default))
        for name, field in Settings.model_fields.items()
        if getattr(settings, name) != field.default
    }


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "(secret)"
    return value if isinstance(value, int | float | str | None) else str(value)


def _unused(topology: Topology) -> Iterator[str]:
    for topic, record in topology.records.items():
        if stream_of(record).stage not in ENDS and not topology.readers(record):
            yield f"unused: nothing that is declared reads {topic}"


def _cascades(topology: Topology) -> Iterator[str]:
    learners = [p for f in topology.flows.values() for p in f.processors if isinstance(p, Learner)]
    for learner in learners:
        above = _above(topology, learner.examples)
        others = [p.name for p in learners if p is not learner and p.predicts in above]
        if others:
            topic = stream_of(learner.examples).topic
            yield (
                f"cascade: {learner.name} learns from {topic}, which holds what "
                f"{' and '.join(others)} predicted"
            )


def _above(topology: Topology, record: type[Record]) -> set[type[Record]]:
    """All streams that a stream is made from."""
    found: set[type[Record]] = set()
    waiting = [record]
    while waiting:
        child = waiting.pop()
        for flow in topology.flows.values():
            for processor in flow.processors:
                if child in outputs_of(processor):
                    new = set(processor.reads) - found
                    found |= new
                    waiting += new
    return found
