"""The Faust app that hosts loops, how it is made and how it is run."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Sequence
from typing import Any

import faust
from aiokafka.errors import KafkaError

from schemas.internal import ControlCommand
from streams.app.bridge import record_topic
from streams.app.leave import leave_unless_set
from streams.app.sealed import seal_codecs
from streams.app.service import LoopsFirst
from streams.app.transport import CommittedTransport
from streams.broker import Cluster
from streams.codec import Registry
from streams.errors import BrokerError, StreamsError
from streams.flow import FlowLoop
from streams.hosted import Hosted
from streams.metrics import exposition, metrics_of
from streams.replay import SourceLoop
from streams.settings import Settings
from streams.topology import Topology

HOST = "127.0.0.1"
SESSION_S = 10.0
METADATA_AGE_S = 2.0
START_CANCEL_S = 2.0


class Host(faust.App):
    """A Faust app, and the loops that it hosts."""

    hosted: list[Hosted]
    topology: Topology
    registry: Registry
    prefix: str
    partitions: dict[str, int]
    port_holder: socket.socket
    leaving: threading.Event | None = None

    @property
    def bound_port(self) -> int:
        """The port of the web views, on loopback."""
        return int(self.port_holder.getsockname()[1])

    async def on_first_start(self) -> None:
        """Do nothing where Faust would make folders: there are no tables."""

    async def on_stop(self) -> None:
        """Ask the loops to end before Faust takes its time to, of which it has not for ever."""
        for hosted in self.hosted:
            hosted.stop()
        self.leaving = self.leaving or leave_unless_set(self.hosted)
        await super().on_stop()

    def close(self) -> None:
        """Free the port, and the event loop of a consumer that was made but never ran."""
        if self.leaving is not None:
            self.leaving.set()
        self.port_holder.close()
        consumer: Any = self._consumer
        if consumer is not None and not consumer._thread.thread_loop.is_running():
            consumer._thread.thread_loop.close()

    def loop_ended(self) -> None:
        """End the host when its last loop has ended in peace."""
        root: Any = self.beacon.root
        if all(hosted.ended.done() for hosted in self.hosted):
            self.loop.create_task(root.data.stop())


def build_app(
    name: str,
    loops: Sequence[FlowLoop | SourceLoop | Hosted],
    cluster: Cluster,
    registry: Registry,
    topology: Topology,
    settings: Settings,
) -> Host:
    """A Faust app that hosts loops; without loops, one for plain agents over `bridge`.

    `name` is its consumer group: each worker has its own, since all must hear a command; agents
    that share work share one.
    """
    seal_codecs()
    holder = _held_port(settings.web_port)
    group = settings.prefix + name
    app = Host(
        group,
        broker=[f"kafka://{server.strip()}" for server in cluster.bootstrap.split(",")],
        broker_credentials=_credentials(settings),
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=SESSION_S / 4,
        consumer_group_instance_id=group if loops else None,
        consumer_auto_offset_reset="earliest",
        # A broker that has just started may not know a topic yet; a member that joins its group
        # then is given nothing, and would by default ask again only after five minutes.
        consumer_metadata_max_age_ms=int(METADATA_AGE_S * 1_000),
        processing_guarantee="at_least_once",
        producer_acks=-1,
        store="memory://",
        cache="memory://",
        table_standby_replicas=0,
        autodiscover=False,
        key_serializer="raw",
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        reply_create_topic=False,
        web_bind=settings.web_host,
        web_host=HOST,
        web_port=holder.getsockname()[1],
        web_stats_enabled=False,
        web_graph_enabled=False,
        web_router_enabled=False,
        web_tables_enabled=False,
        web_metrics_enabled=False,
    )
    app.port_holder = holder
    app.hosted = [loop if isinstance(loop, Hosted) else Hosted(loop) for loop in loops]
    app.topology, app.registry, app.prefix = topology, registry, settings.prefix
    app.partitions = cluster.partitions()
    app.boot_strategy = LoopsFirst(app)
    app.transport = CommittedTransport(app.conf.broker_consumer, app)
    _add_views(app)
    for hosted in app.hosted:
        if hosted.flow is not None:
            _add_control(app, hosted)
    return app


def run_app(app: Host) -> None:
    """Run a host in this process until a signal, a drain or a crash, which is raised, ends it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(_run(app, loop))
    except KafkaError as error:
        raise BrokerError(f"Faust's client of Kafka gave up: {error}") from error
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        app.close()


async def _run(app: Host, loop: asyncio.AbstractEventLoop) -> None:
    worker = faust.Worker(
        app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False
    )
    worker.spinner = None
    starting = asyncio.ensure_future(worker.start())
    ending = asyncio.ensure_future(worker.wait_until_stopped())
    await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
    # A signal has begun the stop already; to stop twice would return at once, before the last
    # commit.
    await (worker._signal_stop_future or worker.stop())
    await asyncio.wait({starting, ending}, timeout=START_CANCEL_S)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    # Those two as well, though they may have ended: asyncio prints an error that nobody has taken.
    await asyncio.gather(starting, ending, *tasks, return_exceptions=True)
    for hosted in app.hosted:
        if hosted.ended.done():
            hosted.ended.result()
    if worker.crash_reason is not None:
        raise worker.crash_reason
    if starting.done() and not starting.cancelled():
        starting.result()


def _add_views(app: Host) -> None:
    registry = metrics_of([hosted.flow for hosted in app.hosted if hosted.flow is not None])

    @app.page("/live/", name="live")
    async def live(self: Any, request: Any) -> Any:
        """Whether the worker should be left alone: a paused or waiting one should."""
        faults = [fault for hosted in app.hosted if (fault := hosted.fault())]
        return self.json({"live": not faults, "faults": faults}, status=503 if faults else 200)

    @app.page("/ready/", name="ready")
    async def ready(self: Any, request: Any) -> Any:
        """Whether records are taken, and if not why."""
        flows = {hosted.name: hosted.state() for hosted in app.hosted}
        ready = all(flow["alive"] and flow["reason"] is None for flow in flows.values())
        return self.json({"ready": ready, "flows": flows}, status=200 if ready else 503)

    @app.page("/metrics/", name="metrics")
    async def metrics(self: Any, request: Any) -> Any:
        """What Prometheus reads."""
        return self.text(exposition(registry), content_type="text/plain; version=0.0.4")


def _add_control(app: Host, hosted: Hosted) -> None:
    plan = hosted.loop.plan
    topic = record_topic(
        app, ControlCommand, plan.topic(plan.flow.control), key="verb", writer="operators"
    )

    async def control(commands: Any) -> None:
        """Obey what operators ask, once, and in order."""
        async for event in commands.events():
            if event.message.offset >= await asyncio.wrap_future(hosted.commands_from):
                hosted.obey(event.value)

    app.agent(topic, name=f"control-{hosted.name}")(control)


def _held_port(port: int) -> socket.socket:
    """A socket that holds a port on loopback for Faust, a free one for 0, which Faust refuses."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind((HOST, port))
    except OSError as error:
        holder.close()
        raise StreamsError(
            f"port {port} cannot be had ({error.strerror}); set DOA_WEB_PORT"
        ) from error
    return holder


def _credentials(settings: Settings) -> Any:
    encrypted = settings.security_protocol.endswith("SSL")
    context = ssl.create_default_context(cafile=settings.ssl_ca_location) if encrypted else None
    if settings.sasl_mechanism is None:
        return faust.SSLCredentials(context=context) if context else None
    password = settings.sasl_password.get_secret_value() if settings.sasl_password else ""
    return faust.SASLCredentials(
        username=settings.sasl_username,
        password=password,
        mechanism=settings.sasl_mechanism,
        ssl_context=context,
    )
