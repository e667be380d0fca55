"""Forgetting a flow, on the real broker, where another flow shares its dead letters."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ops.apply import apply, buried_with, plan_changes, reset
from ops.connect import Connection
from schemas.record import Record, Stream, field
from streams.processor import transform
from streams.topology import Flow, Topology

pytestmark = pytest.mark.broker


class Ring(Record, stream=Stream("bell.event.ring", "tower", "at_ms", "me")):
    """A bell rings."""

    tower: str = field("Tower.")
    at_ms: int = field("When.", unit="ms", ge=0)


class Echo(Record, stream=Stream("bell.feature.echo", "tower", "at_ms", "me")):
    """It is heard."""

    tower: str = field("Tower.")
    at_ms: int = field("When.", unit="ms", ge=0)


class Noise(Record, stream=Stream("bell.feature.noise", "tower", "at_ms", "me")):
    """It is too loud."""

    tower: str = field("Tower.")
    at_ms: int = field("When.", unit="ms", ge=0)


@transform(reads=Ring, writes=Echo)
def echoes(ring: Ring) -> Iterable[Echo]:
    yield Echo(**dict(ring))


@transform(reads=Ring, writes=Noise)
def noises(ring: Ring) -> Iterable[Noise]:
    yield Noise(**dict(ring))


def test_dead_letters_go_with_the_last_flow_of_their_domain(connection: Connection) -> None:
    echo, noise = Flow("echo", (echoes,)), Flow("noise", (noises,))
    both, cluster = Topology({"echo": echo, "noise": noise}), connection.cluster
    prefix = connection.settings.prefix
    changes = plan_changes(both, cluster, connection.registry)
    apply(both, cluster, connection.registry, changes, None)
    assert buried_with(both, echo) == ["noise"]
    gone = reset(both, echo, cluster)
    assert gone == [
        prefix + name
        for name in ("bell.feature.echo", "echo-changelog", "echo-journal", "echo-clock",
                     "echo-redrive", "echo-control")
    ]  # fmt: skip
    alone = Topology({"noise": noise})
    assert buried_with(alone, noise) == []
    assert f"{prefix}bell.dead_letter" in reset(alone, noise, cluster, inputs_too=True)
    assert [name for name in cluster.partitions() if name.startswith(prefix)] == []
