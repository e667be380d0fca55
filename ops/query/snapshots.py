"""Snapshots of streams, by name: the offsets between which a query reads, so that it can be asked
again.

One that nobody named is called by what is in it; of those the oldest are forgotten.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.connect import Connection, home_of
from ops.output import say
from ops.whole import write_new, write_whole
from streams.errors import NotWritten, StreamsError
from streams.extent import END, BadBound, Extent, document, extent_of, extents_now
from streams.instant import instant_ms

UNNAMED = re.compile(r"at-[0-9a-f]{12}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
UNNAMED_MAX = 1_000  # that are kept


class BadSnapshot(StreamsError):
    """A snapshot that is not there, is none, or does not hold what is asked of it."""


@dataclass(frozen=True)
class Snapshot:
    """Extents of streams, by topic."""

    name: str
    extents: dict[str, Extent]

    def __str__(self) -> str:
        return f"snapshot {self.name}: {', '.join(map(str, self.extents.values()))}"


def taken_up(
    connection: Connection, topics: Iterable[str], asked: str | None, as_of: str | None
) -> Snapshot:
    """The snapshot of a name or file, if there is one; else one that is taken now, of these
    streams, and kept. `as_of` is a time of append, before which it ends. Of several who take one of
    a name at once all get the first. One that nobody named is used all the same where it cannot be
    kept, which is said.
    """
    topics = sorted(topics)
    if asked is not None:
        found = _kept(_path(connection, asked), asked, topics, as_of)
        if found is not None:
            return found
        if not NAME.fullmatch(asked):
            raise BadSnapshot(
                f"there is no file {asked}; a name of letters and digits makes a snapshot"
            )
    end = END if as_of is None else f"@{instant_ms(as_of.removeprefix('@'), f'--as-of {as_of}')}"
    extents = extents_now(connection.cluster, topics, end=end) if topics else {}
    told = [document(extent) for extent in extents.values()]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    snapshot = Snapshot(asked or f"at-{digest[:12]}", extents)
    path = _path(connection, snapshot.name)
    try:
        if extents and not _write(path, told, named=asked is not None):
            return _kept(path, snapshot.name, topics, as_of) or snapshot
    except NotWritten as error:
        if asked is not None:
            raise
        say(f"{error}; so this snapshot is not kept")
    return snapshot


def _folder(connection: Connection) -> Path:
    return home_of(connection.settings) / f"{connection.settings.prefix}snapshots"


def _path(connection: Connection, asked: str) -> Path:
    return _folder(connection) / f"{asked}.json" if NAME.fullmatch(asked) else Path(asked)


def _kept(path: Path, asked: str, topics: list[str], as_of: str | None) -> Snapshot | None:
    """What a file holds of some streams; None where there is no such file."""
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        extents = {one.topic: one for one in map(extent_of, list(told["streams"]))}
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadSnapshot(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, RecursionError, BadBound) as error:
        raise BadSnapshot(
            f"{path} holds no snapshot, or one that was damaged; take another name, or delete it"
        ) from error
    if as_of is not None:
        raise BadSnapshot(f"snapshot {asked} was taken already; ask without --as-of")
    for topic in topics:
        if topic not in extents:
            raise BadSnapshot(
                f"snapshot {asked} has no {topic}, it has {', '.join(extents)}; take another name"
            )
    return Snapshot(asked, {topic: extents[topic] for topic in topics})


def _write(path: Path, streams: list[dict[str, Any]], *, named: bool) -> bool:
    """Keep a snapshot; False if another process has just taken one of this name. NotWritten."""
    text = json.dumps({"streams": streams}, indent=1) + "\n"
    if named:
        return write_new(path, text)
    write_whole(path, text)
    unnamed = [p for p in path.parent.glob("at-*.json") if UNNAMED.fullmatch(p.stem)]
    if len(unnamed) > UNNAMED_MAX:
        for old in sorted(unnamed, key=_written_at)[:-UNNAMED_MAX]:
            with suppress(OSError):  # another process forgets them too, or they are another user's
                old.unlink(missing_ok=True)
    return True


def _written_at(path: Path) -> float:
    """When a file was written; 0 of one that another process has forgotten meanwhile."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
