"""What a campaign feeds to a flow: the events of its source, or drawn ones; some of them spoilt.

Events are written once and sealed, then every run reads the same; only the clock, which is the
flow's own, is written again for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ops.chaos.drawing import Drawing
from ops.connect import Connection
from schemas.internal import ClockTick
from schemas.record import Record
from streams.errors import StreamsError
from streams.partition import partition_of
from streams.plan import Plan
from streams.processor import Clock, days
from streams.topology import Flow, Topology, stream_of

CLOSING_MS = days(100)  # past every deadline that a flow may have set
SPOILT_EVERY = 50  # an undecodable record after so many good ones
SPOILT = (b"", b"\x00spoilt", b"{}")
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


def load(connection: Connection, plan: Plan, partitions: int, records: Iterator[Record]) -> int:
    """Write events as a foreign producer would, spoilt ones between them; the last event time."""
    last_ms = 0
    writer = _Writer(connection)
    for count, record in enumerate(records, 1):
        stream = stream_of(type(record))
        key = getattr(record, stream.key)
        last_ms = max(last_ms, getattr(record, stream.event_time))
        topic, number = plan.topic(stream.topic), partition_of(key, partitions)
        writer.write(topic, number, key, plan.codec(type(record)).encode(record))
        if count % SPOILT_EVERY == 0:
            writer.write(topic, number, key, SPOILT[count // SPOILT_EVERY % len(SPOILT)])
    writer.close()
    return last_ms


def close(connection: Connection, plan: Plan, partitions: int, last_ms: int) -> None:
    """Write the tick that moves time past every deadline, to every partition of the clock."""
    writer, clock = _Writer(connection), plan.inputs[-1]
    for number in range(partitions):
        writer.write(
            clock.topic, number, None, clock.codec.encode(ClockTick(at_ms=last_ms + CLOSING_MS))
        )
    writer.close()


class _Writer:
    """A producer that gives up when a record was not written."""

    def __init__(self, connection: Connection) -> None:
        self._producer = connection.cluster.producer()
        self._failures: list[str] = []

    def write(self, topic: str, number: int, key: str | None, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, number, on_delivery=self._note)
                return
            except BufferError:
                self._producer.poll(0.05)

    def close(self) -> None:
        left = self._producer.flush(FLUSH_S)
        if left or self._failures:
            raise StreamsError(f"inputs were not written: {self._failures or f'{left} wait'}")

    def _note(self, error: object, _: object) -> None:
        if error is not None:
            self._failures.append(str(error))
