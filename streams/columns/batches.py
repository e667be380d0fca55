"""Batches of Arrow of a stream, between bounds.

What cannot be decoded is never left out unseen: it ends the reading, unless the caller wants to be
told of each instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from schemas.record import Record
from streams.broker import Cluster
from streams.codec import Registry
from streams.columns.coordinates import coordinates
from streams.columns.fetched import Fetch
from streams.columns.frames import Frames
from streams.columns.types import PARENTS, Wanted
from streams.errors import StreamsError
from streams.extent import Extent, check_extent
from streams.merge import Stored

REFUSED_TOLD_MAX = 100  # all are counted
NEEDED = {"_id": "headers", PARENTS: "headers", "_key": "keys", "_appended": "appended"}


class Unreadable(NamedTuple):
    """A record that cannot be decoded, and why."""

    id: str  # topic[partition]@offset
    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.id}: {self.code}: {self.reason}"


@dataclass
class Refused:
    """How many records could not be decoded, and what is said of the first ones."""

    records: int = 0
    told: list[str] = field(default_factory=list)

    def note(self, one: Unreadable) -> None:
        """Count one."""
        self.records += 1
        if len(self.told) < REFUSED_TOLD_MAX:
            self.told.append(str(one))


class CannotRead(StreamsError):
    """A stream holds a record that cannot be decoded, and nobody asked to be told instead."""


def batches(
    cluster: Cluster,
    registry: Registry,
    record: type[Record],
    extent: Extent,
    wanted: Wanted,
    *,
    names: dict[bytes, str] | None = None,
    refused: Callable[[Unreadable], None] | None = None,
    schemas: dict[int, Any] | None = None,
    keeps: Callable[[int, Stored], bool] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The records of an extent, partition by partition, in batches that are the same each time.

    `names` are what parents are called (`Topology.names`); `refused` hears of each record that
    cannot be decoded: without it the first one raises CannotRead. `schemas` gets those that were
    met, by their ids. `keeps` says of each partition and record whether it is wanted.
    """
    check_extent(cluster, extent)
    name = cluster.settings.prefix + extent.topic
    frames = Frames(record, registry, f"{name}-value", wanted, schemas)
    needed = {NEEDED[n] for n in (NEEDED if keeps else wanted.schema.names) if n in NEEDED}
    with closing(Fetch(cluster)) as fetch:
        for partition, (first, end) in sorted(extent.partitions.items()):
            place = f"{extent.topic}[{partition}]"
            for fetched in fetch.batches(name, partition, first, end, needed):
                batch, faults = frames.decode(fetched.values)
                for row, fault in faults:
                    reason = frames.reason(fetched.values[row], fault)
                    told = Unreadable(f"{place}@{fetched.offsets[row]}", fault.code, reason)
                    if refused is None:
                        raise CannotRead(f"{told}; ask for undecodable records to be left out")
                    refused(told)
                kept = fetched.without({row for row, _ in faults})
                flags = [keeps(partition, one) for one in kept.stored()] if keeps else None
                frames.hide_keys(kept)
                columns = coordinates(place, partition, kept, wanted.schema, names or {})
                columns |= dict(zip(batch.schema.names, batch.columns, strict=True))
                arrays = [columns[n] for n in wanted.schema.names]
                whole = pa.RecordBatch.from_arrays(arrays, schema=wanted.schema)
                yield whole if flags is None else whole.filter(pa.array(flags, pa.bool_()))
