"""A bare loop that remembers something of each sensor, at least once: in a dictionary, and in a
topic from which it could be read again, where each that changed is written once per batch.
"""

from __future__ import annotations

from typing import Any

from fastavro import parse_schema

from ops.bench.peers.loop import clients
from ops.bench.peers.work import OUT, decoded, encoded, feature_of

STATE = f"{OUT}.state"
BATCH_RECORDS = 20_000  # as ours
BEFORE: Any = parse_schema(
    {
        "type": "record",
        "name": "Before",
        "fields": [{"name": "readings", "type": "long"}, {"name": "noise", "type": "double"}],
    }
)


def main() -> None:
    """Run until killed."""
    consumer, producer = clients()
    known: dict[bytes, Any] = {}
    changed: dict[bytes, Any] = {}
    taken = 0
    while True:
        records = consumer.consume(BATCH_RECORDS - taken, 0.1)
        for one in records:
            reading, key = decoded(one.value() or b""), one.key() or b""
            before = known.get(key) or {"readings": 0, "noise": reading["noise"]}
            producer.produce(OUT, feature_of(reading, before["noise"]), key)
            producer.poll(0)
            after = {"readings": before["readings"] + 1, "noise": reading["noise"]}
            known[key] = changed[key] = after
        taken += len(records)
        if changed and (taken >= BATCH_RECORDS or not records):
            for key, state in changed.items():
                producer.produce(STATE, encoded(BEFORE, state), key)
                producer.poll(0)
            producer.flush()
            consumer.commit(asynchronous=True)
            changed.clear()
            taken = 0


if __name__ == "__main__":
    main()
