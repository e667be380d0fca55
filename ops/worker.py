"""A worker: one process that runs flows until it is told to stop.

Imports are made where they are needed: the loops start before Faust is even loaded, so that a
worker that was restarted goes on within two seconds.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.connect import Connection, connect, home_of
from ops.hash_seed import pin_hash_seed
from ops.slots import Slot, take_slot
from ops.whole import write_whole
from streams.errors import Fenced, TopologyError
from streams.settings import Settings
from streams.topology import Flow, Topology, discover
from streams.validation import checked

if TYPE_CHECKING:
    from streams.hosted import Hosted

HEAD_START_S, HEAD_START_POLL_S = 2.0, 0.02
LOADED = (  # what a worker imports late, here or where it connects
    "ops.apply",
    "streams.app",
    "streams.flow",
    "streams.hosted",
    "streams.plan",
    "streams.replay",
)
SWITCH_S = 0.05  # how long a flow may keep the interpreter from Faust, which is in no hurry


def run_worker(
    flows: Sequence[str] = (),
    slot: int | None = None,
    settings: Settings | None = None,
    packages: Iterable[str] = ("processors",),
    begin: Callable[[], object] = lambda: None,
    **source_options: Any,
) -> int:
    """Run flows, by default all that read streams, until a signal or a drain; the exit code.

    `slot` takes over that slot from whoever has it, by default the lowest free one is taken.
    `source_options` go to the sources: `speed`, `progress`, and what their functions take. `begin`
    is called when all is ready, before anything runs.
    """
    pin_hash_seed()
    hosted: list[Hosted] = []
    _end_on_signals(hosted)
    quiet_logs()
    sys.setswitchinterval(SWITCH_S)
    settings = settings or Settings()
    topology = checked(discover(packages))
    chosen = [topology.flow(name) for name in flows] or [
        f for f in topology.flows.values() if f.steps
    ]
    connection = connect(settings)
    check_topics(topology, chosen, connection)
    home = home_of(settings)
    slots = {
        f.name: take_slot(home / "slots", settings.prefix + f.name, slot) for f in chosen if f.steps
    }
    hosted += [h for f in chosen for h in _hosted(topology, f, connection, slots, source_options)]
    if not hosted:
        raise TopologyError("there is no flow to run")
    begin()
    for one in hosted:
        one.start()
    try:
        return _run(chosen, slots, hosted, topology, connection, home)
    except Fenced as error:
        print(f"doa: another worker has taken over; this one ends ({error})", file=sys.stderr)
        return 1
    finally:
        for held in slots.values():
            held.release()


def load(packages: Iterable[str]) -> None:
    """Import all that a worker of these packages will need, and connect to nothing."""
    pin_hash_seed()
    discover(packages)
    for module in LOADED:
        importlib.import_module(module)


def quiet_logs() -> None:
    """Warnings of ours and errors of Faust's to stderr; what ends the worker is said elsewhere."""
    stderr = logging.StreamHandler(sys.stderr)
    stderr.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    stderr.addFilter(_is_news)
    logging.basicConfig(level=logging.WARNING, handlers=[stderr])
    for name, level in (("faust", logging.ERROR), ("mode", logging.ERROR)):
        logging.getLogger(name).setLevel(level)
    for name in ("aiokafka", "doa.kafka"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def check_topics(topology: Topology, flows: Sequence[Flow], connection: Connection) -> None:
    """Refuse to start where `doa apply` has not been: nothing would ever arrive."""
    from ops.apply import wishes

    namespace = connection.settings.namespace
    alone = Topology({f.name: f for f in flows}, topology.code_version, topology.packages)
    missing = sorted(set(wishes(alone, namespace)) - set(connection.cluster.partitions()))
    if missing:
        raise TopologyError(
            f"the cluster lacks {', '.join(missing[:3])} ({len(missing)} in all); run: doa apply"
        )


def workers(home: Path) -> list[dict[str, Any]]:
    """The workers that run on this host: pid, flows, slots, web port."""
    found = []
    for path in sorted((home / "workers").glob("*.json")):
        if _alive(int(path.stem)):
            found.append(json.loads(path.read_text(encoding="utf-8")))
        else:
            path.unlink(missing_ok=True)
    return found


def _hosted(
    topology: Topology,
    flow: Flow,
    connection: Connection,
    slots: dict[str, Slot],
    source_options: dict[str, Any],
) -> list[Hosted]:
    from streams.flow import FlowLoop
    from streams.hosted import Hosted
    from streams.plan import Plan
    from streams.replay import SourceLoop

    cluster, registry = connection.cluster, connection.registry
    if flow.steps:
        plan = Plan(flow, registry, connection.settings.namespace, connection.keys)
        return [Hosted(FlowLoop(plan, cluster, slots[flow.name].number))]
    return [
        Hosted(
            SourceLoop(topology, flow, source, cluster, registry, patient=True, **source_options)
        )
        for source in flow.sources
    ]


def _run(
    flows: Sequence[Flow],
    slots: dict[str, Slot],
    hosted: Sequence[Hosted],
    topology: Topology,
    connection: Connection,
    home: Path,
) -> int:
    _head_start(hosted)
    if all(h.ended.done() for h in hosted):
        for one in hosted:
            one.ended.result()
        return 0
    from streams.app import build_app, run_app

    settings = connection.settings
    numbers = {f.name: slots[f.name].number for f in flows if f.name in slots}
    members = [f"{f.name}.{numbers.get(f.name, 'source')}" for f in flows]
    name = "worker-" + "-".join(members)
    app = build_app(name, hosted, connection.cluster, connection.registry, topology, settings)
    path = home / "workers" / f"{os.getpid()}.json"
    state = {
        "pid": os.getpid(),
        "flows": [f.name for f in flows],
        "slots": numbers,
        "web_port": app.bound_port,
        "started_ms": time.time_ns() // 1_000_000,
    }
    write_whole(path, json.dumps(state) + "\n")
    try:
        run_app(app)
    finally:
        path.unlink(missing_ok=True)
    return 0


def _end_on_signals(hosted: Sequence[Hosted]) -> None:
    """Until Faust takes signals, let them end the flows, or the worker if there are none yet."""

    def asked(*_: object) -> None:
        if not hosted:
            sys.exit(0)
        for one in hosted:
            one.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked)


def _head_start(hosted: Sequence[Hosted]) -> None:
    """Let the flows restore before Faust is loaded, which would take half of their time."""
    deadline = time.monotonic() + HEAD_START_S
    while time.monotonic() < deadline and any(h.waiting for h in hosted):
        time.sleep(HEAD_START_POLL_S)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether it is not Faust's account of the crash that the command line will tell of."""
    return "Crashed reason=" not in str(record.msg)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
