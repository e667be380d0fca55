"""A bare loop over confluent-kafka, at least once: consume, produce, flush, commit offsets."""

from __future__ import annotations

from confluent_kafka import Consumer, Producer

from ops.bench.peers.work import BOOTSTRAP, GROUP, IN, OUT, hop

BATCH_RECORDS = 5_000


def main() -> None:
    """Run until killed."""
    consumer = Consumer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "group.id": GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer(
        {"bootstrap.servers": BOOTSTRAP, "compression.type": "lz4", "linger.ms": 100}
    )
    consumer.subscribe([IN])
    while True:
        records = consumer.consume(BATCH_RECORDS, 0.1)
        for one in records:
            producer.produce(OUT, hop(one.value() or b""), one.key())
            producer.poll(0)
        if records:
            producer.flush()
            consumer.commit(asynchronous=True)


if __name__ == "__main__":
    main()
