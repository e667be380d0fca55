"""A loop on a thread of its own, as its host sees it: is it alive, is it ready, how did it end.

The host is Faust in a worker, but nothing here knows that. The control topic is read once before a
flow begins, so that a flow that was paused stays paused when its worker restarts.
"""

from __future__ import annotations

import contextlib
import faulthandler
import threading
import time
from concurrent.futures import Future
from typing import Any

from schemas.internal import ControlCommand
from streams.broker import Cluster
from streams.errors import DataError, StreamsError, Stuck
from streams.flow import FlowLoop
from streams.plan import Plan
from streams.replay import SourceLoop

FLUSH_S = 10.0


class Hosted:
    """One FlowLoop or SourceLoop and its thread. `ended` resolves when the loop has."""

    def __init__(self, loop: FlowLoop | SourceLoop) -> None:
        self.loop = loop
        self.name = loop.plan.flow.name
        self.ended: Future[None] = _promise()
        # The offset of the first control command that the start has not seen.
        self.commands_from: Future[int] = _promise()
        self._thread = threading.Thread(target=self._run, name=f"flow {self.name}", daemon=True)

    @property
    def flow(self) -> FlowLoop | None:
        """The loop, if it is one that can be paused and lags."""
        return self.loop if isinstance(self.loop, FlowLoop) else None

    def start(self) -> None:
        """Start the thread, once."""
        if not self._thread.ident:
            self._thread.start()

    def stop(self) -> None:
        """Ask the loop to commit what is in hand and end."""
        self.loop.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False when it takes too long."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def reason(self) -> str | None:
        """Why it takes no records, None while it does."""
        return self.loop.reason

    @property
    def waiting(self) -> bool:
        """Whether it takes no records yet, or has a reason to take none."""
        return self.reason is not None and not self.ended.done()

    def fault(self) -> str | None:
        """What is wrong with it; None when all is well, or when it has a reason to wait."""
        if self.ended.done():
            error = self.ended.exception()
            return None if error is None else f"flow {self.name} has ended: {error}"
        if self.flow is None or not self.flow.stuck or not self.loop.cluster.answers():
            return None  # while the broker is away nothing can move
        seconds = self.loop.cluster.settings.stuck_s
        lag = sum(self.flow.lags().values())
        waiting = f"{lag} records wait, and none was taken for {seconds:.0f} s"
        return f"flow {self.name}: {waiting}"

    def check(self) -> None:
        """Raise what ended the loop, or Stuck when it stands still without a reason; where its
        threads stand is written to stderr then.
        """
        fault = self.fault()
        if fault is None:
            return
        if self.ended.done():
            raise self.ended.exception() or Stuck(fault)
        faulthandler.dump_traceback()
        raise Stuck(fault)

    def obey(self, command: ControlCommand) -> None:
        """Do what an operator asks."""
        if command.verb == "drain":
            self.stop()
        elif self.flow is not None and command.verb == "pause":
            self.flow.pause(f"paused: {command.reason}")
        elif self.flow is not None:
            self.flow.resume()

    def state(self) -> dict[str, Any]:
        """What the web views say about it."""
        flow = self.flow
        alive = not self.ended.done()
        state: dict[str, Any] = {"alive": alive, "reason": self.reason, "lag": 0, "units": []}
        if flow is not None:
            lag = sum(flow.lags().values())
            state |= {
                "slot": flow.slot,
                "lag": lag,
                "units": sorted(flow.units),
            }
        return state

    def _run(self) -> None:
        try:
            if self.flow is not None:
                self._obey_last()
            self.loop.run()
        except BaseException as error:  # whatever it is, the host must learn of it
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)

    def _obey_last(self) -> None:
        """Stay paused, if the last word about that before this start was a pause."""
        with contextlib.closing(self.loop.cluster.log()) as log:
            topic = self.loop.plan.topic(self.loop.plan.flow.control)
            written = log.backwards(topic, 0)
            last = next(written, None)
            self.commands_from.set_result(0 if last is None else last.offset + 1)
            for stored in (last, *written) if last is not None else ():
                with contextlib.suppress(DataError):  # not a command: nobody is told, as ever
                    command = self.loop.plan.control_codec.decode(stored.value)
                    if command.verb != "drain":  # that one ended with the workers of its time
                        self.obey(command)
                        return


def send_control(cluster: Cluster, plan: Plan, verb: str, reason: str) -> None:
    """Ask all workers of a flow to pause, resume or drain; raise if that was not written."""
    command = ControlCommand(verb=verb, reason=reason, at_ms=time.time_ns() // 1_000_000)
    failures: list[str] = []
    producer = cluster.producer()
    producer.produce(
        plan.topic(plan.flow.control),
        plan.control_codec.encode(command),
        plan.flow.name,
        0,
        on_delivery=lambda error, _: failures.append(error.str()) if error else None,
    )
    waiting = producer.flush(FLUSH_S)
    if waiting or failures:
        raise StreamsError(f"the command was not written: {', '.join(failures) or 'no answer'}")


def _promise() -> Future[Any]:
    """A future that those who wait for it cannot cancel."""
    promise: Future[Any] = Future()
    promise.set_running_or_notify_cancel()
    return promise
