"""Quix Streams, with the guarantee that its first argument names."""

from __future__ import annotations

import os
import sys
from typing import Any

from quixstreams import Application

from ops.bench.peers.work import BOOTSTRAP, GROUP, IN, OUT, hop


def main(guarantee: Any) -> None:
    """Run until killed."""
    app = Application(
        broker_address=BOOTSTRAP,
        consumer_group=GROUP,
        auto_offset_reset="earliest",
        processing_guarantee=guarantee,
        auto_create_topics=False,
        state_dir=os.environ["HOP_STATE"],
        producer_extra_config={"compression.type": "lz4"},
        loglevel="WARNING",
    )
    source = app.topic(IN, key_deserializer="bytes", value_deserializer="bytes")
    target = app.topic(OUT, key_serializer="bytes", value_serializer="bytes")
    app.dataframe(source).apply(hop).to_topic(target)
    app.run()


if __name__ == "__main__":
    main(sys.argv[1])
