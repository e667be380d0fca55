"""The file of the lineage index: SQLite, with the parents of every record in it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from streams.errors import NotWritten
from streams.lineage import Reference, name_code
from streams.trace import Span

FORMAT = 2
PATIENCE_S = 60.0  # for another process that writes
NO_STAMP = bytes(8)  # of a record without a header of ours
SOMEBODY = "somebody else"  # who wrote it
NOT_WRITTEN = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_FULL", "SQLITE_IOERR")

TABLES = """
CREATE TABLE topic (name TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE position (topic TEXT, partition INT, next INT NOT NULL, PRIMARY KEY (topic, partition))
  WITHOUT ROWID;
CREATE TABLE place (id INTEGER PRIMARY KEY, code BLOB, place INT, UNIQUE (code, place));
CREATE TABLE child (parent INT, number INT, place INT, n INT,
  PRIMARY KEY (parent, number, place, n)) WITHOUT ROWID;
CREATE TABLE span (parent INT, place INT, n INT, first INT NOT NULL, last INT NOT NULL,
  PRIMARY KEY (parent, place, n)) WITHOUT ROWID;
CREATE TABLE edge (processor BLOB, parent INT, place INT, records INT NOT NULL,
  PRIMARY KEY (processor, parent, place)) WITHOUT ROWID;
CREATE TABLE written (stamp BLOB, place INT, records INT NOT NULL, header_bytes INT NOT NULL,
  PRIMARY KEY (stamp, place)) WITHOUT ROWID;
"""


class Overtaken(Exception):
    """Another process has read what this one was about to write."""


class Batch:
    """What has been read and not written yet, and from where to where."""

    def __init__(self, starts: dict[tuple[str, int], int]) -> None:
        self.starts = starts
        self.positions = dict(starts)
        self.edges: list[tuple[int, int, int, int]] = []
        self.spans: list[tuple[int, int, int, int, int]] = []
        self.counts: Counter[tuple[bytes, int, int]] = Counter()
        self.written: dict[tuple[bytes, int], list[int]] = {}


class LineageFile:
    """Who names whom as a parent; `names` are those of topics and processors by their codes."""

    def __init__(self, path: Path, names: dict[bytes, str]) -> None:
        self.path = path
        self._names = names
        self._db = _open(path)
        self._places: dict[tuple[bytes, int], int] = {}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def children(self, parent: Reference) -> Iterator[Reference]:
        """The records that name a record as their parent, stream by stream, in order."""
        place = self._place_of(parent)
        rows = self._db.execute(
            "SELECT code, place.place, n FROM child JOIN place ON place.id = child.place "
            "WHERE parent = ? AND number = ? ORDER BY place.id, n",
            (place, parent.number),
        )
        for code, where, n in rows:
            yield self._reference(code, where, n)

    def spans(self, parent: Reference) -> Iterator[Span]:
        """The records that name a range with a record in it, counted by stream and partition."""
        place = self._place_of(parent)
        rows = self._db.execute(
            "SELECT code, place.place, min(n), max(n), count(*) FROM span "
            "JOIN place ON place.id = span.place "
            "WHERE parent = ? AND first <= ? AND last >= ? GROUP BY place.id",
            (place, parent.number, parent.number),
        )
        for code, where, first_n, last_n, count in rows:
            first = self._reference(code, where, first_n)
            yield Span(replace(first, last=last_n), count)

    def edges(self) -> Iterator[tuple[str, str, str, int]]:
        """What was really made from what: processor, topic of the parent, topic of the record, and
        how many records named such a parent, or a range of such.
        """
        rows = self._db.execute(
            "SELECT processor, above.code, below.code, sum(records) FROM edge "
            "JOIN place AS above ON above.id = parent JOIN place AS below ON below.id = edge.place "
            "GROUP BY 1, 2, 3"
        )
        for processor, parent, child, count in rows:
            yield self._name(processor), self._name(parent), self._name(child), count

    def written(self) -> Iterator[tuple[str, str, str, int, int]]:
        """Who wrote what: processor, version of its code, topic, records, bytes of headers."""
        rows = self._db.execute(
            "SELECT stamp, code, sum(records), sum(header_bytes) FROM written "
            "JOIN place ON place.id = written.place GROUP BY 1, 2"
        )
        for stamp, topic, count, size in rows:
            yield self._name(stamp[:4]), stamp[4:].hex(), self._name(topic), count, size

    def positions(self) -> dict[tuple[str, int], int]:
        """How far each partition was read."""
        rows = self._db.execute("SELECT topic, partition, next FROM position")
        return {(topic, partition): offset for topic, partition, offset in rows}

    def topics(self) -> dict[str, str]:
        """The topics that were read, with the ids that they had."""
        return dict(self._db.execute("SELECT name, id FROM topic"))

    def belong_to(self, topic_ids: dict[str, str]) -> None:
        """Remember which topics are read."""
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO topic VALUES (?, ?)", topic_ids.items())

    def forget(self) -> None:
        """Empty the index; the next update reads everything."""
        self._places.clear()
        with self._db:
            for table in ("topic", "position", "place", "child", "span", "edge", "written"):
                self._db.execute(f"DELETE FROM {table}")

    def roll_back(self) -> None:
        """Leave what has not been committed."""
        self._db.rollback()
        self._places.clear()

    def commit(self, batch: Batch) -> None:
        """Write a batch, unless another process has read the same; Overtaken."""
        write = self._db.executemany
        with self._db:
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            known = self.positions()
            if any(known.get(place, 0) != start for place, start in batch.starts.items()):
                raise Overtaken
            write("INSERT OR IGNORE INTO child VALUES (?, ?, ?, ?)", batch.edges)
            write("INSERT OR IGNORE INTO span VALUES (?, ?, ?, ?, ?)", batch.spans)
            write(
                "INSERT INTO edge VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET records = records + excluded.records",
                [(*key, count) for key, count in batch.counts.items()],
            )
            write(
                "INSERT INTO written VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET records = records + excluded.records, "
                "header_bytes = header_bytes + excluded.header_bytes",
                [(*key, *counted) for key, counted in batch.written.items()],
            )
            write(
                "INSERT OR REPLACE INTO position VALUES (?, ?, ?)",
                [(topic, p, offset) for (topic, p), offset in batch.positions.items()],
            )

    def place(self, code: bytes, where: int) -> int:
        """The number of a place in the file; it is given one when it is first met."""
        found = self._places.get((code, where))
        if found is None:
            self._db.execute(
                "INSERT OR IGNORE INTO place (code, place) VALUES (?, ?)", (code, where)
            )
            found = self._known(code, where)
            assert found is not None, "it has just been given one"
            self._places[(code, where)] = found
        return found

    def _known(self, code: bytes, where: int) -> int | None:
        asked = self._db.execute("SELECT id FROM place WHERE code = ? AND place = ?", (code, where))
        row = asked.fetchone()
        return None if row is None else int(row[0])

    def _name(self, code: bytes) -> str:
        return SOMEBODY if code == NO_STAMP[:4] else self._names.get(code, f"?{code.hex()}")

    def _place_of(self, reference: Reference) -> int | None:
        return self._known(name_code(reference.topic), reference.partition << 2 | reference.kind)

    def _reference(self, code: bytes, where: int, number: int) -> Reference:
        return Reference(self._name(code), where >> 2, where & 1, number)


def _open(path: Path) -> sqlite3.Connection:
    db = _begun(path)
    with db:
        if db.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
            kept = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for statement in [f"DROP TABLE {table}" for (table,) in kept] + TABLES.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {FORMAT}")
    return db


def _begun(path: Path) -> sqlite3.Connection:
    """The file with a transaction: another process may be about to make the tables, too."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level="IMMEDIATE")
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")  # what a crash spoils is rebuilt: it is a cache
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            db.close()
            raise
    except OSError as error:
        raise NotWritten.because(path, error) from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(NOT_WRITTEN):
            raise NotWritten(f"{path} cannot be written: {error}") from error
        raise
    return db


def remove(path: Path) -> None:
    """Delete the file, whatever is in it; NotWritten."""
    for end in ("", "-wal", "-shm"):
        try:
            path.with_name(path.name + end).unlink(missing_ok=True)
        except OSError as error:
            raise NotWritten.because(path, error) from error
