"""The clients of bare loops over confluent-kafka, at least once."""

from __future__ import annotations

from confluent_kafka import Consumer, Producer

from ops.bench.peers.work import BOOTSTRAP, GROUP, IN


def clients() -> tuple[Consumer, Producer]:
    """A consumer of the readings, which commits when it is told to, and a producer."""
    consumer = Consumer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "group.id": GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([IN])
    settings = {"bootstrap.servers": BOOTSTRAP, "compression.type": "lz4", "linger.ms": 100}
    return consumer, Producer(settings)
