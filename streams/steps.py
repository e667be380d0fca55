"""Which step runs which kind of processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.fold_step import FoldStep, SingleFoldStep
from streams.learner_step import LearnerStep
from streams.processor import Learner
from streams.step import Step, TransformStep
from streams.topology import AnyProcessor

if TYPE_CHECKING:
    from streams.unit import Unit


def step_of(unit: Unit, processor: AnyProcessor) -> Step:
    """The step that runs a processor."""
    if isinstance(processor, Learner):
        return LearnerStep(unit, processor)
    if processor.kind == "transform":
        return TransformStep(unit, processor)
    return SingleFoldStep(unit, processor) if processor.single else FoldStep(unit, processor)
