"""Taking a dead letter again: what it is a record of, and who of the flow gets it.

A record that a processor refused goes to that processor alone, so that no other reader sees it
twice. One that was refused before any processor saw it enters the flow as if it had just come. It
keeps its reference, so what comes of it names the same parents as if it had never failed. It is
late, as any late record: time never goes back for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.internal import Redrive
from schemas.record import Record
from streams.codec import Codec
from streams.errors import Refusal, WireFormat
from streams.fold_step import FoldStep
from streams.lineage import split_reference
from streams.merge import Input
from streams.plan import Plan
from streams.processor import Learner, Processor
from streams.tables import Trigger, split_references
from streams.topology import stream_of

if TYPE_CHECKING:
    from streams.unit import Unit

ORIGIN = re.compile(r"([^\[\]]+)\[(\d+)\](?:[@#](\d+)|/([^/]+)/([^/]+)/(.*))", re.DOTALL)


@dataclass(frozen=True)
class Address:
    """What a refused record is a record of, who gets it, and what it came of."""

    codec: Codec
    event_time: str | None = None  # None: an entry of a fold, which has none
    source: int = -1  # which input of the flow; -1: none
    processor: str = ""  # empty: all that read the input
    trigger: Trigger = (b"", b"", 0)
    parents: tuple[bytes, ...] = ()  # of an entry


@dataclass(frozen=True)
class Again:
    """A record of `<flow>-redrive`, and its address where it has one."""

    asked: Redrive
    address: Address | None = None

    @property
    def trigger(self) -> Trigger:
        """The reference of the refused record, parent of all that comes of it now."""
        assert self.address is not None, "what has no address is not taken"
        return self.address.trigger


def address_of(plan: Plan, origin: str, processor: str, parent: bytes) -> Address:
    """Where a refused record goes; a DataError says why it can go nowhere."""
    match = ORIGIN.fullmatch(origin)
    if match is None:
        raise Refusal("its origin is no coordinate of a record")
    topic, flow = match[1], plan.flow
    if topic == flow.changelog and match[4] is not None:
        return _entry_address(plan, processor, match[5], parent)
    for source, taken in enumerate(plan.inputs[: plan.redrive]):
        if taken.name == topic:
            if processor:
                _check_reader(plan, taken.record, processor)
            trigger = _trigger(parent)
            return Address(taken.codec, taken.event_time, source, processor, trigger)
    for record in flow.written:
        if stream_of(record).topic == topic:
            _check_reader(plan, record, processor)
            event_time, trigger = stream_of(record).event_time, _trigger(parent)
            return Address(plan.codec(record), event_time, -1, processor, trigger)
    raise Refusal(f"{topic} is no stream that flow {flow.name} reads or writes")


def take_again(unit: Unit, item: Input) -> bool:
    """Take a record of `<flow>-redrive`; True when it has to enter the flow as a whole."""
    again: Again | None = item.again
    address = None if again is None else again.address
    if again is None or address is None:
        return False  # it was dropped
    if not address.processor:
        return True
    step = next(s for s in unit.steps if s.name == address.processor)
    if address.event_time is None:
        assert isinstance(step, FoldStep), "only a fold has entries"
        step.close(item.record, again.asked.deadline_ms or 0, list(address.parents))
        unit.drain()
    else:
        unit.deliver(item.record, address.trigger, [step])
    return False


def _check_reader(plan: Plan, record: type[Record], processor: str) -> None:
    topic = stream_of(record).topic
    if processor not in plan.readers.get(record, ()):
        raise Refusal(f"flow {plan.flow.name} has no processor {processor!r} that reads {topic}")
    step = next(p for p in plan.flow.steps if p.name == processor)
    if isinstance(step, Learner) and record is step.examples:
        raise Refusal(
            f"{processor} is a fold over {topic} in order, which takes no example late; "
            "mend its code and fold again"
        )


def _entry_address(plan: Plan, processor: str, name: str, parent: bytes) -> Address:
    step = next((p for p in plan.flow.steps if p.name == processor), None)
    tables = step.tables if isinstance(step, Processor) and step.expired_function else ()
    for table in tables:
        if table.name == name:
            codec = plan.state_codec(table.state)
            return Address(codec, processor=processor, parents=_parents(parent))
    raise Refusal(f"flow {plan.flow.name} has no fold {processor!r} that closes entries of {name}")


def _trigger(parent: bytes) -> Trigger:
    try:
        return split_reference(parent)
    except ValueError as error:
        raise WireFormat(f"its `parent` is no reference to a record: {error}") from error


def _parents(parent: bytes) -> tuple[bytes, ...]:
    try:
        return tuple(dict.fromkeys(split_references(parent, 0)))
    except ValueError as error:
        raise WireFormat(f"its `parent` holds no references: {error}") from error
