"""Take the input of a flow again with changed processors, and compare with what was written.

The change is made from the beginning of the log: state and models are folds over all that came
before, so that is the only beginning at which both have the same. What is compared and scored may
begin later.

A record that is equal in key and value is the same, whatever its id and its parents: ids count,
and one record more moves those of all that follow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from ops.backtest.paired import Paired
from ops.backtest.pairs import Pairs, Side
from ops.backtest.seen import Registered, Sight, fields_of, key_of
from streams.errors import NotFound, StreamsError
from streams.finder import BoundedLog
from streams.journal import replay_journal
from streams.loss import Loss
from streams.masking import Mask, masks_of
from streams.merge import Stored
from streams.outline import outline
from streams.plan import Plan
from streams.processor import RecordClass
from streams.topology import Topology, stream_of

Told = Callable[[dict[str, Any]], None]


class BadLoss(StreamsError):
    """A loss is no number, or cannot be computed."""


@dataclass
class StreamChange:
    """What a change does to one stream. `fields` counts the records in which each differs."""

    same: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    first: str | None = None  # the id of the first record that is changed or removed


@dataclass
class Comparison:
    """What a change does to a flow, by topic without namespace; and to its losses, by stream and
    name.
    """

    streams: dict[str, StreamChange]
    losses: dict[tuple[str, str], Paired]
    dead_letters_before: int = 0  # of this flow, since the beginning
    dead_letters_after: int = 0
    dead_letters_cut: int = 0  # partitions of which retention has left not all that were before
    codes: Counter[str] = field(default_factory=Counter)  # transactions by the code that ran


def compare(
    plan: Plan,
    log: BoundedLog,
    partitions: int,
    *,
    registered: Registered,
    since_ms: int = 0,
    may_see: frozenset[str] = frozenset(),
    progress: Callable[[int], None] = lambda at_ms: None,
    check: Callable[[], None] = lambda: None,
    told: Told | None = None,
) -> Comparison:
    """Run a changed flow on what its journal says was taken, and compare what it writes with what
    is there.

    `told` hears of every record that is not the same, without what is neither public nor in
    `may_see`; `registered` gives the ids of the schemas that a topic without namespace has, whose
    marks count. `progress` hears of the time (ms) that was reached; `check` is called where time
    goes by without progress, and may raise. InputGone if the input is not there any more; Unpaired;
    BadLoss.
    """
    named = {stream_of(c).topic: c for c in plan.flow.written}
    topics = {plan.topic(name): named[name] for name in plan.flow.derived}
    losses: dict[tuple[str, str], Paired] = {
        (stream_of(loss.examples).topic, loss.name): Paired() for loss in plan.flow.losses
    }
    found = Comparison({name: StreamChange() for name in plan.flow.derived}, losses)
    dead_letter = plan.topic(plan.flow.dead_letter)
    masks = masks_of(outline(Topology({plan.flow.name: plan.flow})), may_see)
    sight = Sight(plan.registry, masks, registered)
    for partition in range(partitions):
        pairs = {}
        for topic, record in topics.items():
            tally = _Tally(plan, record, partition, found, sight, told)
            pairs[topic] = Pairs(plan, log, record, partition, since_ms, sight, tally)
        for entry, outputs in replay_journal(plan, log, partition, partitions):
            found.codes[entry.code_version] += 1
            for topic, key, value, headers in outputs:
                if topic in pairs:
                    data = key.encode() if isinstance(key, str) else key
                    pairs[topic].take(Stored(-1, data, value, dict(headers)))
                found.dead_letters_after += topic == dead_letter
            progress(entry.time_ms)
        for waiting in pairs.values():
            waiting.close(check)
        letters, cut = _letters(log, dead_letter, partition, plan.flow.name, check)
        found.dead_letters_before += letters
        found.dead_letters_cut += cut
    return found


def _letters(
    log: BoundedLog, dead_letter: str, partition: int, flow: str, check: Callable[[], None]
) -> tuple[int, bool]:
    """How many dead letters a flow wrote: those of a domain share a topic; and whether some may be
    gone.
    """
    try:
        first, end = log.bounds(dead_letter, partition)
    except NotFound:
        return 0, False
    found = 0
    for letter in log.records(dead_letter, partition, 0, end):
        check()
        found += letter.headers.get("error.flow") == flow.encode()
    return found, first > 0


def _differing(before: Side, after: Side) -> list[str]:
    """The fields that are not the same."""
    if before.stored.value == after.stored.value:
        return []
    left, right = dict(before.record), dict(after.record)
    return [name for name in {**left, **right} if left.get(name) != right.get(name)]


def _is_finite(value: Any) -> bool:
    """Whether it is a number that a float holds."""
    try:
        return isfinite(value)
    except (TypeError, ValueError, OverflowError):
        return False


class _Tally:
    """Counts what becomes of the records of one stream and partition, and tells of them."""

    def __init__(
        self,
        plan: Plan,
        record: RecordClass,
        partition: int,
        found: Comparison,
        sight: Sight,
        told: Told | None,
    ) -> None:
        stream = stream_of(record)
        self._topic, self._event_time = stream.topic, stream.event_time
        self._place = f"{stream.topic}[{partition}]"
        self._found, self._change = found, found.streams[stream.topic]
        self._losses = [loss for loss in plan.flow.losses if loss.examples is record]
        self._sight, self._told = sight, told

    def pair(self, before: Side, after: Side) -> None:
        """Compare a record with its counterpart."""
        for loss in self._losses:
            self._score(loss, before, after)
        if not (names := _differing(before, after)):
            self._change.same += 1
            return
        self._change.changed += 1
        self._change.fields.update(names)
        self._change.first = self._change.first or self._id(before)
        if self._told is not None:
            masks = self._sight.masks(self._topic, before.stored, after.stored)
            said, says = fields_of(before.record, masks), fields_of(after.record, masks)
            pairs = {name: [said.get(name), says.get(name)] for name in names}
            self._told(self._document(before, "changed", masks, said, pairs))

    def added(self, after: Side) -> None:
        """Only the change writes it: it lies nowhere, and has no id that could be traced."""
        self._change.added += 1
        self._tell(after, "added")

    def removed(self, before: Side) -> None:
        """The change does not write it."""
        self._change.removed += 1
        self._change.first = self._change.first or self._id(before)
        self._tell(before, "removed")

    def _score(self, loss: Loss, before: Side, after: Side) -> None:
        left = self._loss(loss, before, before, "as it was written")
        right = self._loss(loss, after, before, "after the change")
        if left is not None and right is not None:
            at_ms = getattr(after.record, self._event_time)
            self._found.losses[(self._topic, loss.name)].add(at_ms, left, right)

    def _loss(self, loss: Loss, side: Side, before: Side, when: str) -> float | None:
        """A loss of one side. One that is no number would leave no mean."""
        example = f"{loss.name!r} of {self._id(before)}, {when},"
        try:
            value = loss.of(side.record)
        except Exception as error:  # of the flow's own function; its text may quote the record
            raise BadLoss(f"{example} raised {type(error).__name__}; mend the loss") from None
        if value is None:
            return None
        if not _is_finite(value):  # a text may quote the record, too
            told = value if isinstance(value, float) else f"of type {type(value).__name__}"
            raise BadLoss(f"{example} is {told}; a finite number was expected, or None")
        return float(value)

    def _tell(self, side: Side, what: str) -> None:
        if self._told is not None:
            masks = self._sight.masks(self._topic, side.stored)
            said = fields_of(side.record, masks)
            self._told(self._document(side, what, masks, said, said))

    def _document(
        self,
        side: Side,
        what: str,
        masks: list[Mask],
        said: dict[str, Any],
        fields: dict[str, Any],
    ) -> dict[str, Any]:
        return {
            "topic": self._topic,
            "what": what,
            "id": None if what == "added" else self._id(side),
            "key": key_of(side.stored, masks),
            "at_ms": said[self._event_time],
            "fields": fields,
        }

    def _id(self, before: Side) -> str:
        return self._place + (f"@{before.stored.offset}" if before.n is None else f"#{before.n}")
