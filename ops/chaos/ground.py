"""The ground a campaign is fought on: a stack, a namespace, sealed inputs, and what comes of them.

Everything here is the campaign's own: its folder, its ports, its topics.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from ops import apply as applying
from ops.chaos import inputs
from ops.chaos.disk import SmallDisk, unmount
from ops.chaos.gates import EndTxnGate, Mood, RegistryGate
from ops.chaos.proxy import Proxy, free_port
from ops.connect import Connection, connect
from ops.stack import Stack
from ops.stack.kafka import Door
from ops.stack.ports import HOST
from ops.stack.process import find
from ops.stack.progress import Silence
from ops.stack.registry import CONFLUENT_API
from streams.errors import BrokerError, StreamsError, TopologyError
from streams.plan import Plan
from streams.settings import Settings
from streams.topology import Topology, outputs_of, stream_of

Place = tuple[str, int]  # a topic of the cluster, and one of its partitions

NAMESPACE = "chaos"
LEFT_BEHIND = ("workers", "worker-logs", "slots", "clocks")  # by the campaign before
POLL_S = 0.02
READY_S = 90.0
FORGET_S = 330.0  # a group all of whose members were killed in a rebalance waits 300 s for them


class TooLong(StreamsError):
    """Something that the campaign waits for has not come in time."""


def wait_until(what: str, check: Callable[[], Any], seconds: float) -> Any:
    """What `check` returns once it is true; a broker that is away is waited for as well."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = check()
        except BrokerError as error:
            found, reason = None, f" ({error})"
        else:
            reason = ""
        if found:
            return found
        if time.monotonic() > deadline:
            raise TooLong(f"not within {seconds:.0f} s: {what}{reason}")
        time.sleep(POLL_S)


class Ground:
    """A stack with proxies before it, and one flow there."""

    def __init__(
        self, folder: Path, topology: Topology, flow: str, partitions: int, disk_mb: int = 0
    ) -> None:
        self.folder = folder
        self.topology = topology
        self.flow = topology.flow(flow)
        if not self.flow.steps:
            raise TopologyError(f"the flow {flow} reads nothing that a campaign could feed to it")
        self.alone = Topology({flow: self.flow}, topology.code_version, topology.packages)
        self.partitions = partitions
        self.torn = EndTxnGate()
        self.registry_gate = RegistryGate()
        door_port = free_port()
        self.door = Proxy(door_port, self.torn.relay)
        self.stack = Stack(folder, door=Door(door_port, self.door.port))
        self.disk = SmallDisk(self.stack.kafka_server.home, disk_mb) if disk_mb else None
        self._down = contextlib.ExitStack()
        self._down.callback(self.door.close)
        self.last_ms = 0
        self.ends: dict[Place, int] = {}
        self.asking: set[tuple[str, int, int]] = set()  # records about which the registry is asked

    def up(self) -> None:
        """Start the stack, which nobody else uses, from nothing."""
        self._down.callback(self._end)
        self._end()
        self.stack.wipe()
        for name in LEFT_BEHIND:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        if self.disk is not None:
            self.disk.mount()
        endpoints = self.stack.up()
        registry_port = int(endpoints.registry_url.split(":")[2].split("/")[0])
        self.registry_proxy = Proxy(registry_port, self.registry_gate.relay)
        self._down.callback(self.registry_proxy.close)
        self.proxied_registry = f"http://{HOST}:{self.registry_proxy.port}{CONFLUENT_API}"
        # Constructed, lest what the user has set in the environment come in.
        settings = Settings.model_construct(
            bootstrap=endpoints.bootstrap,
            registry_url=endpoints.registry_url,
            namespace=NAMESPACE,
            home=self.folder,
        )
        self.connection: Connection = connect(settings)
        self._down.callback(self.connection.registry.close)
        self.cluster = self.connection.cluster
        self.group = f"{NAMESPACE}.{self.flow.name}"
        self.plan = Plan(self.flow, self.connection.registry, NAMESPACE, self.connection.keys)
        written = dict.fromkeys(stream_of(c) for p in self.flow.processors for c in outputs_of(p))
        names = [*(stream.topic for stream in written), self.flow.dead_letter]
        self.models = {self.plan.topic(s.topic) for s in written if s.stage == "model"}
        self.outputs = [(self.plan.topic(n), p) for n in names for p in range(self.partitions)]
        self.inputs = [(i.topic, p) for i in self.plan.inputs for p in range(self.partitions)]
        self._apply()

    def down(self) -> None:
        """Stop all that was started, workers too; the logs stay."""
        self._down.close()

    def load(self, events: int, seed: int) -> None:
        """Write the inputs, once; `reset` seals them."""
        records = inputs.events(self.topology, self.flow, events, seed)
        self.last_ms, self.asking = inputs.load(
            self.connection, self.plan, self.partitions, records
        )

    def reset(self) -> None:
        """Forget all that the flow wrote; its inputs stay, sealed by a new clock."""
        wait_until("the flow forgotten", self._forget, FORGET_S)
        self._make_topics()
        inputs.close(self.connection, self.plan, self.partitions, self.last_ms)
        ends = self.cluster.ends(self.inputs)
        self.ends = {place: end for place, end in ends.items() if end > 0}

    def dead_letters(self) -> int:
        """How many records were refused."""
        name = self.plan.topic(self.flow.dead_letter)
        letters = self.cluster.log()
        with contextlib.closing(letters):
            return sum(1 for p in range(self.partitions) for _ in letters.records(name, p))

    def committed(self) -> dict[Place, int]:
        """How far the flow has come, by input partition."""
        return self.cluster.committed(self.group, self.inputs)

    def finished(self) -> bool:
        """Whether all inputs were taken."""
        committed = self.committed()
        return all(committed.get(place, 0) >= end for place, end in self.ends.items())

    def members(self) -> dict[int, set[int]]:
        """The units of each slot, as the group has them."""
        found = self.cluster.members(self.group).items()
        return {int(name.rsplit(".", 1)[1]): {n for _, n in places} for name, places in found}

    def hanging(self) -> list[Place]:
        """Partitions that hold an open transaction: their last stable offset is not their end."""
        counts = self.cluster.partitions()
        ours = [t for t in counts if t.startswith((f"{NAMESPACE}.", "__consumer_offsets"))]
        places = [(t, p) for t in ours for p in range(counts[t])]
        ends, stable = self.cluster.ends(places), self.cluster.ends(places, committed=True)
        return [place for place in places if stable[place] < ends[place]]

    def kill_broker(self) -> None:
        """Kill -9; what the system has cached is not lost, as it would be without power."""
        process = find(self.stack.kafka_server)
        assert process is not None, "the broker runs"
        process.kill()
        process.wait(READY_S)

    def stop_broker(self) -> None:
        """End it in an orderly way."""
        process = find(self.stack.kafka_server)
        assert process is not None, "the broker runs"
        process.terminate()
        process.wait(READY_S)

    def broker_runs(self) -> bool:
        """Whether its process lives."""
        return find(self.stack.kafka_server) is not None

    def kill_registry(self) -> None:
        """Kill -9."""
        process = find(self.stack.registry_server)
        assert process is not None, "the registry runs"
        process.kill()
        process.wait(READY_S)

    def restart(self) -> float:
        """Start what was killed; the time at which it is ready."""
        self.stack.up(Silence())
        return time.time()

    def let_registry_be(self, mood: Mood) -> None:
        """Change the mood of the registry, for those too who are connected to it already."""
        if mood != self.registry_gate.mood:
            self.registry_gate.mood = mood
            self.registry_proxy.cut()

    def mend(self) -> None:
        """Leave no fault behind: servers up, disk free, registry well."""
        self.let_registry_be("well")
        if self.disk is not None:
            self.disk.free()
        self.stack.up(Silence())

    def _end(self) -> None:
        """End everything here that a campaign starts, this one or one that was killed."""
        end_workers(self.folder)
        if self.disk is not None:
            self.disk.free()
        self.stack.down()
        unmount(self.stack.kafka_server.home)

    def _forget(self) -> bool:
        applying.reset(self.alone, self.flow, self.cluster)
        return True

    def _apply(self) -> None:
        registry = self.connection.registry
        changes = applying.plan_changes(self.alone, self.cluster, registry, self.partitions)
        applying.apply(self.alone, self.cluster, registry, changes, None)

    def _make_topics(self) -> None:
        """What was deleted anew; subjects stay, so that the registry need not be asked."""
        present = self.cluster.partitions()
        wishes = applying.wishes(self.alone, NAMESPACE, self.partitions)
        changes = applying.Changes([w for name, w in wishes.items() if name not in present])
        applying.apply(self.alone, self.cluster, self.connection.registry, changes, None)


def end_workers(home: Path) -> None:
    """Kill all workers of a home, who stands by before who works, lest it start another."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("DOA_HOME") == str(home) and "worker" in process.cmdline():
                found.append((process.create_time(), process))
    for _, process in sorted(found, key=lambda one: one[0]):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
