"""Streams for notebooks: any stream, or a range of it, as a table of Arrow.

    from ops.frames import read
    table = read("flights.prediction.planned", start="@2026-11-01", columns=["_id", "minutes"])
    table.to_pandas()  # or polars.from_arrow(table)

Types come from the schema, instants are timestamps in UTC. `scan` gives batches of a stream that is
larger than memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from ops.catalog import declared
from ops.connect import Connection, connect
from ops.sensitive import may_see
from streams.columns.frames import Unreadable, batches
from streams.columns.types import Wanted, wanted_columns
from streams.extent import BEGINNING, END, Extent, document, extent_now
from streams.processor import RecordClass
from streams.topology import Topology, discover

DETAILS = b"doa"  # in the metadata of a table's schema


class Reading(NamedTuple):
    """What is to be read: the columns of a stream, between bounds. It can be read many times."""

    connection: Connection
    topology: Topology
    extent: Extent
    wanted: Wanted

    def batches(
        self,
        refused: Callable[[Unreadable], None] | None = None,
        schemas: dict[int, Any] | None = None,
    ) -> Any:
        """A RecordBatchReader; `refused` hears of what cannot be decoded, which else raises;
        `schemas` gets those that records were written by, by their ids.
        """
        found = batches(
            self.connection.cluster,
            self.connection.registry,
            record_of(self.topology, self.extent.topic),
            self.extent,
            self.wanted,
            names=self.topology.names,
            refused=refused,
            schemas=schemas,
        )
        return pa.RecordBatchReader.from_batches(self._schema(), self._told(found))

    def _schema(self) -> pa.Schema:
        told = {"extent": document(self.extent), "masked": self.wanted.masked}
        return self.wanted.schema.with_metadata({DETAILS: json.dumps(told).encode()})

    def _told(self, found: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        schema = self._schema()
        return (batch.replace_schema_metadata(schema.metadata) for batch in found)


def read(
    topic: str,
    start: str = BEGINNING,
    end: str = END,
    *,
    columns: Iterable[str] | None = None,
    sensitive: bool = False,
    refused: Callable[[Unreadable], None] | None = None,
    app: Iterable[str] = (),
    connection: Connection | None = None,
) -> pa.Table:
    """The records of a stream as one table.

    Parameters
    ----------
    topic
        A declared stream of `processors` or of the packages in `app`.
    start, end
        `beginning`, `end`, `@TIME` (of append, ISO 8601 or ms), or an offset of every partition;
        the end is not included.
    columns
        In this order; else all but `_parents`.
    sensitive
        Whether fields that are not public are read as well, as `DOA_MAY_SEE` allows.
    refused
        Hears of each record that cannot be decoded; without it the first one raises.
    app
        Packages whose flows are loaded too.
    connection
        Where to read; else as the settings say.
    """
    opened = scan(
        topic, start, end, columns=columns, sensitive=sensitive, app=app, connection=connection
    )
    return opened.batches(refused).read_all()


def scan(
    topic: str,
    start: str = BEGINNING,
    end: str = END,
    *,
    columns: Iterable[str] | None = None,
    sensitive: bool = False,
    app: Iterable[str] = (),
    connection: Connection | None = None,
) -> Reading:
    """The same in batches, for streams that are larger than memory: `for batch in
    scan(...).batches()`. The bounds are taken now.
    """
    connection, topology = connection or connect(), discover(("processors", *app))
    topic = topic.removeprefix(connection.settings.prefix)
    seen = may_see(connection.settings, sensitive=sensitive)
    wanted = wanted_columns(record_of(topology, topic), columns, may_see=seen)
    extent = extent_now(connection.cluster, topic, start, end)
    return Reading(connection, topology, extent, wanted)


def record_of(topology: Topology, topic: str) -> RecordClass:
    """The record class of a declared stream; TopologyError lists the likely ones."""
    if topic not in topology.records:
        declared(topology, topic)
    return topology.records[topic]
