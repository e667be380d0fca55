"""A Bytewax dataflow, without its recovery store: it begins anew after a crash."""

from __future__ import annotations

from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from confluent_kafka import OFFSET_BEGINNING

from ops.bench.peers.work import BOOTSTRAP, IN, OUT, hop

BATCH_RECORDS = 1_000


def _hop(record: Any) -> Any:
    return KafkaSinkMessage(record.key, hop(record.value))


flow = Dataflow("hop")
source = kafka.input(
    "in",
    flow,
    brokers=[BOOTSTRAP],
    topics=[IN],
    starting_offset=OFFSET_BEGINNING,
    batch_size=BATCH_RECORDS,
)
kafka.output(
    "out",
    op.map("hop", source.oks, _hop),
    brokers=[BOOTSTRAP],
    topic=OUT,
    add_config={"compression.type": "lz4"},
)
