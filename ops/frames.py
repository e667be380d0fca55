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

from ops.catalog import record_of
from ops.connect import Connection, connect, home_of
from ops.outlined import outlined
from ops.sensitive import may_see
from streams.columns.batches import Unreadable, batches
from streams.columns.types import Wanted, wanted_columns
from streams.extent import BEGINNING, END, Extent, document, extent_now
from streams.masking import strictest
from streams.merge import Stored
from streams.outline import Outline

DETAILS = b"doa"  # in the metadata of a table's schema


class Reading(NamedTuple):
    """What is to be read: the columns of a stream, between bounds. It can be read many times."""

    connection: Connection
    known: Outline
    extent: Extent
    wanted: Wanted

    def batches(
        self,
        refused: Callable[[Unreadable], None] | None = None,
        schemas: dict[int, Any] | None = None,
        keeps: Callable[[int, Stored], bool] | None = None,
    ) -> Any:
        """A RecordBatchReader; `refused` hears of what cannot be decoded, which else raises;
        `schemas` gets those that records were written by, by their ids; `keeps` says of each
        partition and record whether it is wanted.
        """
        found = batches(
            self.connection.cluster,
            self.connection.registry,
            record_of(self.known, self.extent.topic),
            self.extent,
            self.wanted,
            names=self.known.names,
            refused=refused,
            schemas=schemas,
            keeps=keeps,
        )
        return pa.RecordBatchReader.from_batches(self._schema(), self._told(found))

    def hidden(self, schemas: dict[int, Any]) -> dict[str, str]:
        """The columns that are null where one of these schemas says that they are not public, and
        how sensitive they are.
        """
        found: dict[str, str] = {}
        for number, schema in schemas.items():
            for name, kind in self.wanted.hidden(number, schema).items():
                found[name] = strictest([kind, found.get(name, kind)])
        return found

    def details(self, schemas: dict[int, Any] | None = None) -> dict[bytes, bytes]:
        """What is told of a table in the metadata of its schema."""
        hidden = {} if schemas is None else {"hidden": self.hidden(schemas)}
        told = {"extent": document(self.extent), "masked": self.wanted.masked, **hidden}
        return {DETAILS: json.dumps(told).encode()}

    def _schema(self) -> pa.Schema:
        return self.wanted.schema.with_metadata(self.details())

    def _told(self, found: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        details = self.details()
        return (batch.replace_schema_metadata(details) for batch in found)


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
    schemas: dict[int, Any] = {}
    table = opened.batches(refused, schemas).read_all()
    return table.replace_schema_metadata(opened.details(schemas))


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
    connection = connection or connect()
    packages = tuple(dict.fromkeys(("processors", *app)))
    known = outlined(packages, home_of(connection.settings))
    topic = topic.removeprefix(connection.settings.prefix)
    seen = may_see(connection.settings, sensitive=sensitive)
    wanted = wanted_columns(record_of(known, topic), columns, may_see=seen)
    extent = extent_now(connection.cluster, topic, start, end)
    return Reading(connection, known, extent, wanted)
