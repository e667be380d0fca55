"""A source on the real broker, and a broker that goes away."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from ops.stack import Stack
from processors.nycflights.replay import events
from streams.broker import Cluster
from streams.lineage import HEADER, header_number
from streams.replay import SourceLoop
from streams.topology import stream_of

pytestmark = pytest.mark.broker

FLIGHTS, DAY_S = 200, 20.0  # a day of flights within so many seconds


def test_source_waits_for_a_broker_that_is_away_and_writes_each_event_once(
    flights: Callable[[int], Any], stack: Stack, until: Callable[..., Any]
) -> None:
    system = flights(1)
    flow = system.topology.flow("nycflights")
    registry, settings = system.connection.registry, system.connection.settings
    hasty = settings.model_copy(update={"commit_timeout_s": 2.0, "retry_pause_s": 0.5})
    cluster = Cluster(system.connection.cluster.bootstrap, hasty)
    source = SourceLoop(
        system.topology,
        flow,
        flow.sources[0],
        cluster,
        registry,
        speed=86_400 / DAY_S,
        patient=True,
        flights=FLIGHTS,
    )
    writing = threading.Thread(target=source.run, daemon=True)
    writing.start()
    until("events", lambda: source.count > 0)
    stack.down()
    try:
        until("a source that waits", lambda: source.reason is not None)
    finally:
        stack.up()
    source.speed = None  # what is left comes at once
    until("the end of the source", lambda: not writing.is_alive())
    expected = Counter(stream_of(type(event)).topic for event in events(FLIGHTS))
    for topic, count in expected.items():
        [log] = system.stored([topic]).values()
        assert [header_number(s.headers[HEADER]) for s in log] == list(range(count)), topic
    assert (source.count, source.reason) == (sum(expected.values()), None)
