"""Faust's consumer, reading committed records only; its own shows what a flow has aborted."""

from __future__ import annotations

import contextlib
from typing import Any

from faust.transport.drivers import aiokafka


class CommittedTransport(aiokafka.Transport):
    """Faust's transport, with the consumer below."""


class CommittedConsumer(aiokafka.Consumer):
    """Faust's consumer, with the thread below."""

    def _new_consumer_thread(self) -> Any:
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)


class CommittedThread(aiokafka.AIOKafkaConsumerThread):
    """The thread on which Faust fetches."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        assert hasattr(consumer, "_isolation_level"), (
            "aiokafka keeps its isolation level elsewhere now"
        )
        consumer._isolation_level = "read_committed"
        return consumer

    def _stopped_set(self) -> None:
        """Ask the thread to end; one that a crash has ended has closed its event loop already."""
        with contextlib.suppress(RuntimeError):
            super()._stopped_set()


CommittedTransport.Consumer = CommittedConsumer
