"""The step of a learner: it learns from examples, and answers questions by what it has learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.record import Record
from streams.errors import NO_FAULT_OF_A_RECORD, ProcessorFault, Rollback
from streams.processor import Learner
from streams.snapshot_log import write_snapshot
from streams.step import Step, fault_of
from streams.tables import Trigger
from streams.topology import stream_of
from streams.varint import varint

if TYPE_CHECKING:
    from streams.unit import Encoded, Unit


class LearnerStep(Step):
    """Folds examples into a model, and answers questions with it."""

    def __init__(self, unit: Unit, learner: Learner) -> None:
        super().__init__(unit, learner)
        self.learner = learner
        self.model = learner.model()
        self._examples, self._until_ms = learner.examples, learner.until_ms
        self._learn, self._predict = learner.learn, learner.predict
        self._snapshot_every = learner.snapshot_every
        self.version = 0
        self.generation = 0
        self.frozen = self.due = False
        self.event_time = stream_of(learner.examples).event_time

    def run(self, record: Record, trigger: Trigger) -> None:
        """Answer a question or learn from an example."""
        if type(record) is not self._examples:
            assert self._predict is not None
            try:
                prediction = self._predict(self.model, record, self.version)
            except (Exception, KeyboardInterrupt, SystemExit):
                raise
            except BaseException as panic:
                raise _panicked(panic) from panic
            if prediction is not None:
                self.unit.emit(
                    self, self.encoded((prediction,)), [trigger[0]], varint(self.version + 1)
                )
            return
        try:
            signals = self.learn(record, trigger[2])
        except NO_FAULT_OF_A_RECORD:
            raise
        except Exception as error:
            raise Rollback(self.name, trigger[0], fault_of(error)) from error
        if signals:
            self.unit.emit(self, signals, [trigger[0]], varint(self.version + 1))
        if self.due:
            write_snapshot(self, trigger[0])

    def learn(self, example: Record, n: int) -> list[Encoded]:
        """Fold example #n; the signals that it gave, as they can be written. Nothing happens once
        the model is frozen.

        Whatever is raised here is raised again when the example is folded again: so a restart
        leaves out what was left out before.
        """
        until = self._until_ms
        self.due = False
        if self.frozen:
            return []
        if until is not None and getattr(example, self.event_time) >= until:
            self.frozen = self.due = True
            return []
        try:
            signals = list(self._learn(self.model, example) or ())
        except (Exception, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as panic:
            raise _panicked(panic) from panic
        encoded = self.encoded(signals)
        self.version = n + 1
        self.due = self.version % self._snapshot_every == 0
        return encoded


def _panicked(panic: BaseException) -> ProcessorFault:
    """A panic of river's Rust, which is no Exception, but no reason to end a worker either."""
    return ProcessorFault(f"{type(panic).__name__}: {panic}")
