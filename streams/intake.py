"""Bytes from a topic to the input of a unit: decoded once, checked once, before it can move
time.
"""

from __future__ import annotations

from streams.errors import DataError, FutureEvent, OutOfBounds, WireFormat, WrongPartition
from streams.lineage import HEADER
from streams.merge import NO_TIME, Input, Stored
from streams.partition import partition_of
from streams.plan import InputPlan, Plan


def intake(plan: Plan, partition: int, partitions: int, source: int, stored: Stored) -> Input:
    """Decode a stored record; what is wrong with it stands in place of the record."""
    source_plan = plan.inputs[source]
    offset, key, value, headers, appended_ms = stored
    try:
        record = source_plan.codec.decode(value)
        time_ms = getattr(record, source_plan.event_time)
        if source != len(plan.inputs) - 1:
            _check_key(source_plan, key, getattr(record, source_plan.key), partition, partitions)
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
    return Input(source, offset, time_ms, record, key, value, appended_ms, headers.get(HEADER))


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
