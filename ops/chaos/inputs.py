"""What a campaign feeds to a flow: the events of its source, or drawn ones; some of them spoilt.

Events are written once and sealed, then every run reads the same; only the clock, which is the
flow's own, is written again for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from ops.chaos.drawing import Drawing
from ops.connect import Connection
from schemas.internal import ClockTick
from schemas.record import Record
from streams.clients import put
from streams.errors import StreamsError
from streams.partition import partition_of
from streams.plan import Plan
from streams.processor import Clock, days
from streams.topology import Flow, Topology, stream_of

CLOSING_MS = days(100)  # past every deadline that a flow may have set
SPOILT_EVERY = 50  # an undecodable record after so many good ones
ASKING = b"\x00spoilt"  # which the registry is asked about: whose schema is that?
SPOILT = (b"", ASKING, b"{}")
FLUSH_S = 60.0


def events(topology: Topology, flow: Flow, count: int, seed: int) -> Iterator[Record]:
    """The first events of the source that feeds a flow, or drawn ones where it has none."""
    wanted = set(flow.inputs)
    for feeding in topology.flows.values():
        for source in feeding.sources:
            if wanted <= set(source.writes):
                items = islice(source(None), count)
                return (record for _, record in items if not isinstance(record, Clock))
    return Drawing(flow, seed).records(count)


def load(
    connection: Connection, plan: Plan, partitions: int, records: Iterator[Record]
) -> tuple[int, set[tuple[str, int, int]]]:
    """Write events to empty topics, spoilt ones between them; the last event time, and where lies
    what a unit has to ask the registry about (topic, partition, offset).
    """
    last_ms, asking = 0, set()
    writer = Writer(connection, plan, partitions)
    for count, record in enumerate(records, 1):
        writer.event(record)
        last_ms = max(last_ms, getattr(record, stream_of(type(record)).event_time))
        if count % SPOILT_EVERY == 0:
            value = SPOILT[count // SPOILT_EVERY % len(SPOILT)]
            place = writer.event(record, value)
            if value == ASKING:
                asking.add((*place, writer.written[place] - 1))
    writer.close()
    return last_ms, asking


def close(connection: Connection, plan: Plan, partitions: int, last_ms: int) -> None:
    """Write the tick that moves time past every deadline, to every partition of the clock."""
    writer, clock = Writer(connection, plan, partitions), plan.inputs[-1]
    value = clock.codec.encode(ClockTick(at_ms=last_ms + CLOSING_MS))
    for number in range(partitions):
        writer.write(clock.topic, number, None, value)
    writer.close()


class Writer:
    """Writes as a foreign producer would; `close` raises when a record was not written."""

    def __init__(self, connection: Connection, plan: Plan, partitions: int) -> None:
        self._producer = connection.cluster.producer()
        self._plan = plan
        self._partitions = partitions
        self._failures: list[str] = []
        self.written: Counter[tuple[str, int]] = Counter()

    def event(self, record: Record, value: bytes | None = None) -> tuple[str, int]:
        """Write an event where it belongs, or other bytes in its place; topic and partition."""
        stream = stream_of(type(record))
        key = getattr(record, stream.key)
        if value is None:
            value = self._plan.codec(type(record)).encode(record)
        number = partition_of(key, self._partitions)
        topic = self._plan.topic(stream.topic)
        self.write(topic, number, key, value)
        return topic, number

    def write(self, topic: str, number: int, key: str | None, value: bytes) -> None:
        """Write any bytes anywhere."""
        put(self._producer, topic, value, key, number, on_delivery=self._note)
        self.written[(topic, number)] += 1
        self._producer.poll(0)

    def close(self) -> None:
        """Wait until all is written."""
        left = self._producer.flush(FLUSH_S)
        if left or self._failures:
            raise StreamsError(f"inputs were not written: {self._failures or f'{left} wait'}")

    def _note(self, error: object, _: object) -> None:
        if error is not None:
            self._failures.append(str(error))
