"""Which dead letters are meant, counted or had taken again: what `doa dlq` does, without printing.

Letters of a domain share a topic; each names its flow. One that names a flow which is not loaded
is counted, but only its own package can have it taken again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from ops.connect import Connection
from streams.dead_letter import Letter
from streams.errors import TopologyError
from streams.letters import WAITING, Fates, Outcome, read_letters, settle
from streams.plan import Plan
from streams.shown import View
from streams.topology import Flow, Topology

ID = re.compile(r"([a-z0-9_.]+\.dead_letter)\[(\d+)\]@(\d+)")


@dataclass(frozen=True)
class Choice:
    """Which letters are meant: some by id, or all for which everything said holds."""

    ids: tuple[str, ...] = ()
    flow: str | None = None
    error: str | None = None
    processor: str | None = None  # "" stands for the intake, before any processor

    def holds(self, letter: Letter) -> bool:
        """Whether a letter of its flow is meant."""
        if self.ids:
            return letter.id in self.ids
        return self.error in (None, letter.error) and self.processor in (None, letter.processor)


@dataclass
class Group:
    """Letters of one error class, processor and topic."""

    flow: str
    error: str
    processor: str
    topic: str
    first_ms: int
    last_ms: int
    example: str
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, letter: Letter, fate: str) -> None:
        """Count a letter; the example is the first that waits, if any does."""
        if fate == WAITING and not self.counts.get(WAITING):
            self.example = letter.id
        self.counts[fate] = self.counts.get(fate, 0) + 1
        self.last_ms = max(self.last_ms, letter.written_ms)


def flows_of(topology: Topology, name: str | None) -> list[Flow]:
    """The flows of a name, or of a domain, that read streams; TopologyError lists what there is."""
    flows = [f for f in topology.flows.values() if f.steps]
    found = [f for f in flows if name in (None, f.name, f.domain)]
    if not found:
        names = sorted({f.name for f in flows} | {f.domain for f in flows})
        raise TopologyError(f"there is no flow or domain {name!r}; there are: {', '.join(names)}")
    return found


def groups(connection: Connection, topology: Topology, name: str | None) -> list[Group]:
    """All letters of a flow, a domain or (None) all flows, grouped; the largest group first."""
    flows = {f.name: f for f in _present(connection, flows_of(topology, name), name)}
    fates = _Fates(connection, topology)
    found: dict[tuple[str, str, str, str], Group] = {}
    for topic in dict.fromkeys(f.dead_letter for f in flows.values()):
        for letter in read_letters(connection.cluster, topic):
            if name in topology.flows and letter.flow != name:
                continue
            key = (letter.flow, letter.error, letter.processor, letter.topic)
            if key not in found:
                found[key] = Group(*key, letter.written_ms, letter.written_ms, letter.id)
            found[key].add(letter, fates.of(letter))
    return sorted(found.values(), key=lambda g: -sum(g.counts.values()))


def one(
    connection: Connection, topology: Topology, view: View, letter_id: str
) -> dict[str, Any] | None:
    """All about one letter that may be seen; None when there is none of this id."""
    for letter in _named(connection, (letter_id,)):
        document = asdict(letter) | {"topic": letter.topic} | asdict(letter.cause)
        del document["cause"]
        document |= view.opened(letter)
        return document | {"state": _Fates(connection, topology).of(letter)}
    return None


def decide(
    connection: Connection, topology: Topology, choice: Choice, verb: str, **options: bool
) -> tuple[dict[str, Outcome], list[str]]:
    """Have the letters of a choice taken again or dropped: the outcome by flow, and the ids that
    name no letter.
    """
    meant: dict[str, Iterable[Letter]] = {}
    missing: list[str] = []
    if choice.ids:
        named = list(_named(connection, choice.ids))
        missing = sorted(set(choice.ids) - {letter.id for letter in named})
        for letter in named:
            meant[letter.flow] = [*meant.get(letter.flow, ()), letter]
    else:
        flows = [topology.flow(choice.flow)] if choice.flow else flows_of(topology, None)
        for flow in _present(connection, flows, choice.flow):
            letters = read_letters(connection.cluster, flow.dead_letter)
            meant[flow.name] = _of_flow(letters, flow.name, choice)
    if missing:
        return {}, missing
    plans = {name: _plan(connection, topology, name) for name in meant}
    return {
        name: settle(connection.cluster, plans[name], letters, verb, **options)
        for name, letters in meant.items()
    }, []


def forget(connection: Connection, topology: Topology, flow: Flow) -> int:
    """Drop the letters that a flow had written before it was reset, where their topic was kept: it
    reads again all that they hold. How many there were.
    """
    choice = Choice(flow=flow.name)
    outcomes, _ = decide(connection, topology, choice, "drop")
    return len(outcomes[flow.name].done)


class _Fates:
    """What became of letters, of whatever flow."""

    def __init__(self, connection: Connection, topology: Topology) -> None:
        self._connection, self._topology = connection, topology
        self._fates: dict[str, Fates] = {}

    def of(self, letter: Letter) -> str:
        if letter.flow not in self._topology.flows:
            return WAITING
        if letter.flow not in self._fates:
            plan = _plan(self._connection, self._topology, letter.flow)
            self._fates[letter.flow] = Fates(self._connection.cluster, plan)
        return self._fates[letter.flow].of(letter)


def _plan(connection: Connection, topology: Topology, name: str) -> Plan:
    if name not in topology.flows:
        raise TopologyError(f"flow {name!r} is not loaded; name its package: doa --app PACKAGE …")
    return Plan(topology.flow(name), connection.registry, connection.settings.namespace)


def _present(connection: Connection, flows: list[Flow], name: str | None) -> list[Flow]:
    """Of all flows those that `doa apply` made; one that was named must be there."""
    present, prefix = connection.cluster.partitions(), connection.settings.prefix
    return [f for f in flows if name is not None or prefix + f.dead_letter in present]


def _of_flow(letters: Iterable[Letter], flow: str, choice: Choice) -> Iterator[Letter]:
    return (s for s in letters if s.flow == flow and choice.holds(s))


def _named(connection: Connection, ids: tuple[str, ...]) -> Iterator[Letter]:
    """The letters of these ids, as far as there are any."""
    starts: dict[str, dict[int, int]] = {}
    for match in filter(None, map(ID.fullmatch, ids)):
        partitions = starts.setdefault(match[1], {})
        number, offset = int(match[2]), int(match[3])
        partitions[number] = min(offset, partitions.get(number, offset))
    left = set(ids)
    present = connection.cluster.partitions()
    for name, wanted in starts.items():
        if connection.settings.prefix + name not in present:
            continue
        for letter in read_letters(connection.cluster, name, wanted):
            if letter.id in left:
                left.discard(letter.id)
                yield letter
            if not left:
                return
