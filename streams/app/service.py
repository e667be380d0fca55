"""A loop as a service of Faust's: started first, watched, and given time to commit at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from faust.app.base import BootStrategy
from mode import Service

from streams.hosted import Hosted

WATCH_S = 1.0
STOP_S = 10.0
TOLD = ("outage", "paused", "restoring at most")  # reasons that the log hears of

logger = logging.getLogger("doa.worker")


class LoopService(Service):
    """Runs a loop's thread; a loop that dies or is stuck crashes the host."""

    abstract = False

    def __init__(self, hosted: Hosted, on_end: Callable[[], None], **options: Any) -> None:
        super().__init__(**options)
        self.hosted = hosted
        self.on_end = on_end
        self.ended: asyncio.Future[None] | None = None

    async def on_start(self) -> None:
        """Start the thread, unless the worker has done so already."""
        self.ended = asyncio.wrap_future(self.hosted.ended)
        self.ended.add_done_callback(lambda ended: ended.exception())  # `run_app` raises it
        self.hosted.start()

    async def on_stop(self) -> None:
        """Wait for the last commit."""
        self.hosted.stop()
        if self.ended is not None and not await self._has_ended(STOP_S):
            logger.warning(
                "flow %s did not end within %.0f s; it is left as it is", self.hosted.name, STOP_S
            )

    @Service.task
    async def _watch(self) -> None:
        said: str | None = None
        while not self.should_stop and not await self._has_ended(WATCH_S):
            self.hosted.check()
            reason = self.hosted.reason
            if reason != said and reason is not None and reason.startswith(TOLD):
                logger.warning("flow %s: %s", self.hosted.name, reason)
            said = reason
        self.hosted.check()
        self.on_end()

    async def _has_ended(self, seconds: float) -> bool:
        assert self.ended is not None
        await asyncio.wait({self.ended}, timeout=seconds)
        return self.ended.done()


class LoopsFirst(BootStrategy):
    """Starts the loops before anything of Faust's own, which takes seconds to join its group."""

    def server(self) -> Iterable[Any]:
        """The services in the order in which they start; Kafka's only when there are agents."""
        app: Any = self.app
        self.enable_kafka = bool(app.agents)
        yield from (LoopService(hosted, app.loop_ended) for hosted in app.hosted)
        yield from super().server()
