"""The thread on which Faust fetches, and how it ends."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher

from streams.app import transport
from streams.app.transport import PatientThread
from tests.streams.test_app import host


def test_faust_thread_that_a_crash_has_ended_is_stopped_in_peace() -> None:
    with closing(host()) as app:
        app.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(app.loop)
        consumer: Any = app.consumer
        consumer._thread.thread_loop.close()
        consumer._thread._stopped_set()
        asyncio.set_event_loop(None)
        app.loop.close()


class Asking(PatientThread):
    """A thread that asks its parent's event loop for something on its way to its end."""

    async def on_thread_started(self) -> None:
        self.add_future(self._hold())

    async def _hold(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            asked = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.parent_loop)
            await asyncio.wrap_future(asked)


def test_thread_that_asks_something_of_its_parent_is_waited_for() -> None:
    async def run() -> None:
        asking = Asking()
        await asking.start()
        await asyncio.wait_for(asking.stop(), 20)
        assert asking._thread is not None
        assert asking._thread.is_stopped.is_set()

    asyncio.run(run())


async def slow_to_end() -> None:
    """As a fetch whose cancellation takes longer than a step of the event loop."""
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(1)


class Joining:
    """As aiokafka's coordinator of a member that waits for its group."""

    async def close(self) -> None:
        await asyncio.sleep(60)


@pytest.mark.parametrize("state", ["trying again", "cancelling", "joining"])
def test_thread_that_fetches_ends_where_aiokafka_does_not(
    state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CLOSE_S", 0.1)

    async def run(app: Any) -> None:
        app.loop = asyncio.get_running_loop()
        consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
        syncing = consumer._client._sync_task = asyncio.create_task(asyncio.sleep(60))
        fetch = asyncio.create_task(slow_to_end() if state == "cancelling" else asyncio.sleep(60))
        await asyncio.sleep(0)
        consumer._fetcher = fetcher = Fetcher(consumer._client, consumer._subscription)
        if state == "cancelling":  # the fetcher begins with it, since its partitions are gone
            fetcher._pending_tasks.add(fetch)
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(0)
            fetcher._pending_tasks.add(fetch)
        if state == "joining":
            consumer._coordinator = Joining()
        thread = app.consumer._thread
        thread._consumer = consumer
        ending = asyncio.create_task(thread.on_thread_stop())
        await asyncio.wait({ending}, timeout=10)
        assert ending.done()
        await ending
        assert syncing.cancelled(), "the client is closed"
        assert state == "joining" or (fetch.cancelled() and fetcher._fetch_task.done())

    with closing(host()) as app:
        asyncio.run(run(app))
