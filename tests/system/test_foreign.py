"""Programs that are not ours: a producer and a reader that know the schemas and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from streams.lineage import HEADER, unpack_header
from streams.trace_context import span_of

pytestmark = pytest.mark.broker

PARTITIONS = 4
TRACED = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ANSWER_S = 10  # else the client waits for ever, and a registry may owe an answer
DEPARTURE = {
    "flight_id": "2013-07-01.UA.1.EWR",
    "origin": "EWR",
    "departed_ms": datetime(2013, 7, 1, 12, 40, tzinfo=UTC),
    "delay_minutes": 40.0,
    "destination": "IAH",
    "carrier": "UA",
    "tail": "N14228",
    "distance": 1_400.0,
    "scheduled_departure_ms": datetime(2013, 7, 1, 12, 0, tzinfo=UTC),
    "scheduled_arrival_ms": datetime(2013, 7, 1, 16, 0, tzinfo=UTC),
    "departure_minute": 480,
    "weekday": 0,
    "year_day": 182,
}


def test_foreign_departure_gets_a_prediction_that_a_foreign_reader_reads(
    flights: Callable[[int], Any], start: Callable[..., Any], until: Callable[..., Any]
) -> None:
    system = flights(PARTITIONS)
    worker = start("worker", "flights")
    settings, namespace = system.connection.settings, system.connection.settings.namespace
    with SchemaRegistryClient({"url": settings.registry_url, "timeout": ANSWER_S}) as registry:
        event = f"{namespace}.flights.event.departure"
        schema = files("schemas").joinpath("avro/flights.event.departure.avsc").read_text("utf-8")
        serialize = AvroSerializer(registry, schema, conf={"auto.register.schemas": False})
        departure = SerializationContext(event, MessageField.VALUE)
        value = until("an answer", lambda: unless_late(lambda: serialize(DEPARTURE, departure)))
        producer = Producer(
            {"bootstrap.servers": settings.bootstrap, "partitioner": "murmur2_random"}
        )
        producer.produce(event, value, "EWR", headers={"traceparent": TRACED})
        producer.flush()

        prediction = f"{namespace}.flights.prediction.departed"
        consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap,
                "group.id": f"{namespace}.foreign",
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
            }
        )
        consumer.subscribe([prediction])
        try:
            found = until("a prediction", lambda: worker.check() or consumer.poll(0.5))
        finally:
            consumer.close()
        context = SerializationContext(prediction, MessageField.VALUE)
        decode = AvroDeserializer(registry)
        served = until("an answer", lambda: unless_late(lambda: decode(found.value(), context)))
    assert (found.key(), found.partition()) == (b"EWR", 3)
    assert served["flight_id"] == "2013-07-01.UA.1.EWR"
    assert served["asked_ms"] == datetime(2013, 7, 1, 12, 40, tzinfo=UTC)
    assert 0 < served["probability"] < 1
    names = system.topology.names
    [feature] = system.stored(["flights.feature.departed"])[("flights.feature.departed", 3)]
    parents = unpack_header(feature.headers[HEADER], names).parents
    assert str(parents[0]) == "flights.event.departure[3]@0"
    origin = unpack_header(dict(found.headers())[HEADER], names)
    assert str(origin.parents[0]) == "flights.feature.departed[3]#0"
    assert (origin.processor, origin.model_version) == ("departed", 0)
    told = dict(found.headers())["traceparent"]
    assert told == TRACED.replace(b"00f067aa0ba902b7", span_of("flights.prediction.departed[3]#0"))


def unless_late(ask: Callable[[], Any]) -> Any:
    """What a registry answers; None if it is late, so that it is asked again."""
    try:
        return ask()
    except Exception as error:
        if "timed out" not in str(error):
            raise
        return None
