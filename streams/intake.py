"""Bytes from a topic to the input of a unit: decoded once, checked once, before it can move
time.
"""

from __future__ import annotations

from typing import Any

from streams.errors import DataError, FutureEvent, OutOfBounds, WireFormat, WrongPartition
from streams.lineage import HEADER
from streams.merge import NO_TIME, Input, Stored
from streams.partition import partition_of
from streams.plan import InputPlan, Plan
from streams.redriven import Again, address_of
from streams.trace_context import context_of


def intake(plan: Plan, partition: int, partitions: int, source: int, stored: Stored) -> Input:
    """Decode a stored record; what is wrong with it stands in place of the record."""
    if source == plan.redrive:
        return _redriven(plan, partition, partitions, stored)
    source_plan = plan.inputs[source]
    offset, key, value, headers, appended_ms = stored
    try:
        record = source_plan.codec.decode(value)
        fields: dict[str, Any] = record.__dict__
        time_ms = fields[source_plan.event_time]
        if source < plan.redrive:
            _check_key(source_plan, key, fields[source_plan.key], partition, partitions)
        if time_ms < 0:
            raise OutOfBounds(f"{source_plan.event_time} is {time_ms}; event time begins in 1970")
        if time_ms > appended_ms + source_plan.ahead_ms:
            raise FutureEvent(
                f"{source_plan.event_time} is {time_ms}, "
                f"{(time_ms - appended_ms) // 3_600_000} h after the "
                f"record was appended; at most {source_plan.ahead_ms // 3_600_000} h are allowed"
            )
    except DataError as error:
        record, time_ms = error, NO_TIME
    if not headers:
        return Input(source, offset, time_ms, record, key, value, appended_ms)
    header, context = headers.get(HEADER), context_of(headers)
    return Input(source, offset, time_ms, record, key, value, appended_ms, header, context)


def _check_key(
    plan: InputPlan, key: bytes | None, declared: str, partition: int, partitions: int
) -> None:
    if key is None or key != declared.encode():
        shown = None if key is None else key.decode("utf-8", "replace")
        raise WireFormat(f"the key is {shown!r}; the value's {plan.key} {declared!r} was expected")
    expected = partition_of(declared, partitions)
    if expected != partition:
        raise WrongPartition(
            f"key {declared!r} belongs to partition {expected} of {partitions} (murmur2), "
            f"not to {partition}"
        )


def _redriven(plan: Plan, partition: int, partitions: int, stored: Stored) -> Input:
    """Decode a record of `<flow>-redrive`, and the record that was refused within it.

    What was refused before any processor saw it is checked as if it had just been appended.
    """
    item = Input(
        plan.redrive, stored.offset, NO_TIME, None, stored.key, stored.value, stored.appended_ms
    )
    item.context = context_of(stored.headers)
    try:
        asked = plan.inputs[plan.redrive].codec.decode(stored.value)
    except DataError as error:
        item.record = error
        return item
    if asked.verb == "drop":
        return item
    try:
        address = address_of(plan, asked.origin, asked.processor, asked.parent)
        again = Again(asked, address)
        if address.source >= 0:
            inner = Stored(stored.offset, asked.key, asked.value, {}, stored.appended_ms)
            found = intake(plan, partition, partitions, address.source, inner)
            found.source, found.again, found.context = plan.redrive, again, item.context
            return found
        record = address.codec.decode(asked.value)
    except DataError as error:
        item.record, item.again = error, Again(asked)
        return item
    time_ms = NO_TIME if address.event_time is None else getattr(record, address.event_time)
    item.time_ms, item.record, item.again = time_ms, record, again
    return item
