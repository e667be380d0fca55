"""Streams as tables: what notebooks read from the real broker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from ops.frames import read, scan
from schemas.flights import Arrival, Departure
from streams.columns import fetched
from streams.columns.batches import CannotRead
from streams.errors import NotFound, TopologyError
from streams.extent import BadBound, Extent, Gone, check_extent, extent_now

pytestmark = pytest.mark.broker

TOPIC = "flights.event.departure"
EWR, PARTITIONS = 3, 4


def test_stream_becomes_a_table_of_what_was_committed(
    flights: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    system = flights(PARTITIONS)
    system.load(300)
    monkeypatch.setattr(fetched, "BATCH_RECORDS", 64)
    connection = system.connection
    expected = system.read(Departure)[Departure]

    table = read(TOPIC, connection=connection)
    fields = table.select(list(Departure.model_fields)).to_pylist()
    for one in fields:
        for name in ("departed_ms", "scheduled_departure_ms", "scheduled_arrival_ms"):
            one[name] = round(one[name].timestamp() * 1_000)
    assert fields == [record.model_dump() for record in expected]
    assert [n for n in table.schema.names if n.startswith("_")] == [
        "_id", "_key", "_partition", "_offset", "_appended",
    ]  # fmt: skip
    shown = connection.view(system.topology).show
    [log] = [system.stored([TOPIC])[(TOPIC, EWR)]]
    coordinates = ["_id", "_key", "_offset", "_partition"]
    in_ewr = [r for r in table.select(coordinates).to_pylist() if r["_partition"] == EWR]
    assert in_ewr == [
        {"_id": shown(TOPIC, EWR, s).id, "_key": "EWR", "_offset": s.offset, "_partition": EWR}
        for s in log
    ]
    assert read(TOPIC, connection=connection).equals(table)
    sizes = [batch.num_rows for batch in scan(TOPIC, connection=connection).batches()]
    assert max(sizes) == 64 and sum(sizes) == len(expected)

    a_range_of_it(system, table)
    what_is_foreign_is_told_and_never_dropped_unseen(system, len(expected))
    what_is_not_there_is_told(system)


def a_range_of_it(system: Any, table: Any) -> None:
    connection = system.connection
    two = read(TOPIC, "2", "5", columns=["flight_id", "_offset"], connection=connection)
    assert set(two["_offset"].to_pylist()) == {2, 3, 4}
    assert two.schema.names == ["flight_id", "_offset"]
    last_ms = max(one.timestamp() for one in table["_appended"].to_pylist()) * 1_000
    assert read(TOPIC, f"@{last_ms + 1:.0f}", connection=connection).num_rows == 0
    assert read(TOPIC, f"@{last_ms:.0f}", connection=connection).num_rows > 0
    assert read(TOPIC, end="@2020-01-01", connection=connection).num_rows == 0
    with pytest.raises(BadBound, match="is not over yet"):
        read(TOPIC, end=f"@{(time.time() + 60) * 1_000:.0f}", connection=connection)
    with pytest.raises(BadBound, match="'soon' is no bound of a stream"):
        read(TOPIC, "soon", connection=connection)


def what_is_foreign_is_told_and_never_dropped_unseen(system: Any, count: int) -> None:
    connection = system.connection
    before = extent_now(connection.cluster, TOPIC)
    producer = connection.cluster.producer()
    producer.produce(system.plan.topic(TOPIC), b"no avro", b"EWR", EWR)
    arrival = system.read(Arrival)[Arrival][0]
    value = system.plan.codec(Arrival).encode(arrival)
    producer.produce(system.plan.topic(TOPIC), value, b"EWR", EWR)
    assert producer.flush(20) == 0

    end = before.partitions[EWR][1]
    with pytest.raises(CannotRead, match=rf"departure\[3\]@{end}: WIRE_FORMAT"):
        read(TOPIC, connection=connection)
    refused: list[Any] = []
    assert read(TOPIC, connection=connection, refused=refused.append).num_rows == count
    assert [(one.id, one.code) for one in refused] == [
        (f"{TOPIC}[{EWR}]@{end}", "WIRE_FORMAT"),
        (f"{TOPIC}[{EWR}]@{end + 1}", "SUBJECT_MISMATCH"),
    ]
    check_extent(connection.cluster, before)  # it does not hold them


def what_is_not_there_is_told(system: Any) -> None:
    connection = system.connection
    with pytest.raises(TopologyError, match=r"there is no stream 'flights\.event\.departed'"):
        read("flights.event.departed", connection=connection)
    with pytest.raises(NotFound, match="there is no topic"):
        extent_now(connection.cluster, "flights.event.nothing")
    now = extent_now(connection.cluster, TOPIC)
    later = Extent(TOPIC, now.topic_id, {0: (0, now.partitions[0][1] + 1)})
    with pytest.raises(Gone, match=r"departure\[0\] ends at @"):
        check_extent(connection.cluster, later)
    with pytest.raises(Gone, match="was made anew"):
        check_extent(connection.cluster, Extent(TOPIC, "another", now.partitions))
