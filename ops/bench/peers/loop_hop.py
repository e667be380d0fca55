"""A bare loop over confluent-kafka, at least once: consume, produce, flush, commit offsets."""

from __future__ import annotations

from ops.bench.peers.loop import clients
from ops.bench.peers.work import OUT, hop

BATCH_RECORDS = 5_000


def main() -> None:
    """Run until killed."""
    consumer, producer = clients()
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
