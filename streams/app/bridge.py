"""Declared streams as Faust topics, for plain agents that read and write our records.

Guarantee: at least once, and only what was committed is read. An agent is a foreigner: what it
writes are events, or streams that no processor writes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import faust
from faust.exceptions import KeyDecodeError, ValueDecodeError

from schemas.record import Record
from streams.codec import Codec
from streams.errors import BrokerError, DataError, TopologyError
from streams.masking import kinds_in
from streams.partition import partition_of
from streams.sensitivity import safe_text
from streams.topology import stream_of

if TYPE_CHECKING:
    from streams.app.host import Host

logger = logging.getLogger("doa.worker")


def bridge(app: Host, record: type[Record]) -> RecordTopic:
    """The stream of a record class as a topic: `@app.agent(topic)` reads it, `topic.send` writes.

    A record that cannot be decoded is logged and skipped; its dead letter is the business of the
    flow that reads the stream. `await topic.send(value=record)` returns when Kafka has it.
    """
    stream = stream_of(record)
    name = app.prefix + stream.topic
    writers = [] if stream.stage == "event" else app.topology.writers(record)
    writer = writers[0][1].name if writers else None
    return record_topic(app, record, name, key=stream.key, writer=writer)


def record_topic(
    app: Host, record: type[Record], name: str, key: str, writer: str | None
) -> RecordTopic:
    """Any topic as records of one class; only `writer`, if there is one, may write it."""
    if name not in app.partitions:
        raise BrokerError(f"there is no topic {name}; run: doa apply")
    codec = Codec(record, f"{name}-value", app.registry)
    schema = RecordSchema(codec, key, app.partitions[name], writer)
    return RecordTopic(app, topics=[name], schema=schema)


class RecordSchema(faust.Schema[Any, Any]):
    """Confluent's wire format for one record class; keys are UTF-8."""

    def __init__(self, codec: Codec, key: str, partitions: int, writer: str | None) -> None:
        super().__init__(key_serializer="raw", value_serializer="raw")
        self.codec = codec
        self.key = key
        self.partitions = partitions
        self.writer = writer
        self.kinds = tuple(kinds_in(codec.record))

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:
        """Decode a key."""
        try:
            return None if message.key is None else message.key.decode()
        except UnicodeDecodeError as error:
            raise KeyDecodeError(self._safe(error)) from None

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        """Decode a value; an outage of the registry is not its fault, and ends the agent."""
        try:
            return self.codec.decode(message.value)
        except DataError as error:
            raise ValueDecodeError(f"{error.code}: {self._safe(error)}") from None

    def dumps_key(self, app: Any, key: Any, *, headers: Any, **_: Any) -> Any:
        """Encode a key."""
        return key.encode(), headers

    def dumps_value(self, app: Any, value: Any, *, headers: Any, **_: Any) -> Any:
        """Encode a record."""
        return self.codec.encode(value), headers

    def _safe(self, error: Exception) -> str:
        """What the worker's log may hear of a record that is skipped."""
        return safe_text(error, self.kinds)


class RecordTopic(faust.Topic):
    """A topic of records: key and partition follow from the record, as for every other producer."""

    async def send(
        self, *, value: Any = None, key: Any = None, partition: Any = None, **more: Any
    ) -> Any:
        """Write a record, and wait until Kafka has it."""
        schema = self.schema
        assert isinstance(schema, RecordSchema)
        if schema.writer is not None:
            raise TopologyError(
                f"{self} is written by {schema.writer}; a derived stream has one writer"
            )
        wanted = schema.codec.record
        if not isinstance(value, wanted):
            raise TopologyError(f"{self} holds {wanted.__name__}, not {type(value).__name__}")
        key = getattr(value, schema.key)
        partition = partition_of(key, schema.partitions)
        sent = await super().send(value=value, key=key, partition=partition, **more)
        await sent
        return sent

    def send_soon(self, **_: Any) -> Any:
        """Refuse: nobody would learn whether the record was written."""
        raise TopologyError(f"write to {self} with `await topic.send(value=record)`")

    async def on_decode_error(self, exc: Exception, message: Any) -> None:
        """Say which record is skipped, and why."""
        logger.warning(
            "%s[%d]@%d skipped: %s", message.topic, message.partition, message.offset, exc
        )

    async def on_key_decode_error(self, exc: Exception, message: Any) -> None:
        """Skip the record; Faust's own way would end the agent."""
        await self.on_decode_error(exc, message)

    async def on_value_decode_error(self, exc: Exception, message: Any) -> None:
        """Skip the record; Faust's own way would end the agent."""
        await self.on_decode_error(exc, message)
