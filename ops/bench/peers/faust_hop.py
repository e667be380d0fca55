"""A Faust agent, at least once."""

from __future__ import annotations

import os
from typing import Any

import faust

from ops.bench.peers.work import BOOTSTRAP, GROUP, IN, OUT, hop

app = faust.App(
    GROUP,
    broker=f"kafka://{BOOTSTRAP}",
    consumer_auto_offset_reset="earliest",
    key_serializer="raw",
    value_serializer="raw",
    store="memory://",
    datadir=os.environ["HOP_STATE"],
    producer_compression_type="lz4",
    topic_disable_leader=True,
    topic_allow_declare=False,
    web_enabled=False,
)
source = app.topic(IN)
target = app.topic(OUT)


@app.agent(source)
async def hops(stream: Any) -> None:
    """One reading in, one feature out."""
    async for event in stream.events():
        await target.send(key=event.key, value=hop(event.value))


if __name__ == "__main__":
    app.main()
