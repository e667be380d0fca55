"""Faust's consumer, reading committed records only; its own shows what a flow has aborted."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from faust.transport.drivers import aiokafka
from mode import Service
from mode.threads import ServiceThread

CLOSE_S = 2.0  # for a consumer to close; one that has joined its group takes a tenth of that


class CommittedTransport(aiokafka.Transport):
    """Faust's transport, with the consumer below."""


class CommittedConsumer(aiokafka.Consumer):
    """Faust's consumer, with the thread below."""

    def _new_consumer_thread(self) -> Any:
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)


class PatientThread(ServiceThread):
    """A thread whose end is waited for beside the event loop: on its way it may ask something of
    that loop, and mode would block it meanwhile, so that neither ever ended.
    """

    async def stop(self) -> None:
        """Ask the thread to end, and wait for that."""
        if self._started.is_set():
            await Service.stop(self)
            if self._thread is not None:
                await asyncio.to_thread(self._thread.stop)


class CommittedThread(PatientThread, aiokafka.AIOKafkaConsumerThread):
    """The thread on which Faust fetches."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        assert hasattr(consumer, "_isolation_level"), (
            "aiokafka keeps its isolation level elsewhere now"
        )
        consumer._isolation_level = "read_committed"
        return consumer

    async def on_thread_stop(self) -> None:
        """Stop fetching, in time. aiokafka's consumer does not come to its end when a fetch that it
        cancels waits to be tried again (its issue #647), nor when it is just cancelling fetches
        itself: it takes its own cancellation for theirs. Mode would never say then that the thread
        has ended.
        """
        try:
            await asyncio.wait_for(super().on_thread_stop(), CLOSE_S)
        except (asyncio.CancelledError, TimeoutError):
            consumer: Any = self._consumer
            with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(consumer._client.close(), CLOSE_S)

    def _stopped_set(self) -> None:
        """Ask the thread to end; one that a crash has ended has closed its event loop already."""
        with contextlib.suppress(RuntimeError):
            super()._stopped_set()


CommittedTransport.Consumer = CommittedConsumer
