"""Run one query in a process of its own, on the streams that it names as a snapshot has them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import pyarrow as pa

from ops.catalog import record_of
from ops.connect import Connection
from ops.frames import Reading
from ops.query.snapshots import Snapshot, taken_up
from streams.columns.batches import Refused
from streams.columns.types import COORDINATES, PARENTS, wanted_columns
from streams.errors import StreamsError
from streams.outline import Outline

CHILD = Path(__file__).with_name("child.py")
CPU_S_EXTRA = 10  # before the operating system ends what we did not
START_S_MAX = 30.0  # to start and to understand a query
ANSWER_BYTES_MAX = 512_000_000


class QueryError(StreamsError):
    """A query that is not run, or that does not come to an end within its limits."""


@dataclass(frozen=True)
class Limits:
    """What a query may take: time once its streams are loaded, memory with them, rows told."""

    seconds: float = 30.0
    memory_mb: int = 2_000
    threads: int = 1  # with more of them sums of floats may differ from run to run
    rows_max: int = 1_000


@dataclass(frozen=True)
class Asked:
    """What is asked, of what, and what of it may be seen."""

    query: str
    snapshot: str | None = None
    as_of: str | None = None
    may_see: frozenset[str] = frozenset()
    skip_undecodable: bool = False


@dataclass
class Answer:
    """The rows of a query, and the snapshot on which it was asked. `masked` are columns that were
    left out, `hidden` those that are null where a writer's schema marks them.
    """

    snapshot: Snapshot
    columns: list[dict[str, str]]
    rows: list[list[Any]]
    more: int
    masked: dict[str, dict[str, str]] = field(default_factory=dict)
    hidden: dict[str, dict[str, str]] = field(default_factory=dict)
    undecodable: Refused = field(default_factory=Refused)


def run(
    connection: Connection,
    known: Outline,
    asked: Asked,
    limits: Limits,
    *,
    taken: Callable[[Snapshot], None] = lambda snapshot: None,
    told: Callable[[int], None] = lambda records: None,
) -> Answer:
    """Ask a query. `taken` hears of the snapshot before anything is read, `told` of records that
    were.
    """
    with _Child(limits) as child:
        wish = {"query": asked.query, "memory_mb": limits.memory_mb}
        child.say(wish | {"threads": limits.threads, "rows_max": limits.rows_max})
        named = child.hear(START_S_MAX, "be understood")
        tables = _streams(known, connection.settings.prefix, named)
        records = {topic: record_of(known, topic) for topic in tables.values()}
        snapshot = taken_up(connection, records, asked.snapshot, asked.as_of)
        taken(snapshot)
        answer = Answer(snapshot, [], [], 0)
        for table, topic in tables.items():
            wanted = wanted_columns(records[topic], may_see=asked.may_see)
            if named["parents"]:
                parents = pa.field(PARENTS, pa.list_(pa.string()))
                place = sum(name in COORDINATES for name in wanted.schema.names)
                wanted = wanted._replace(schema=wanted.schema.insert(place, parents))
            if wanted.masked:
                answer.masked[topic] = wanted.masked
            reading = Reading(connection, known, snapshot.extents[topic], wanted)
            schemas: dict[int, Any] = {}
            noted = answer.undecodable.note if asked.skip_undecodable else None
            batches = reading.batches(noted, schemas)
            child.send(table, batches, told)
            if hidden := reading.hidden(schemas):
                answer.hidden[topic] = hidden
        child.say({"run": ceil(limits.seconds * limits.threads) + CPU_S_EXTRA})
        try:
            found = child.hear(limits.seconds, "end")
        except QueryError as error:
            raise _with_hint(error, answer.masked) from error
        answer.columns, answer.rows = found["columns"], found["rows"]
        answer.more = int(found["more"])
        return answer


def _streams(known: Outline, prefix: str, named: dict[str, Any]) -> dict[str, str]:
    """The topics that a query names as tables. SQL knows no case; our topics are all lower."""
    topics = {topic.casefold(): topic for topic in known.records}
    defined = {name.casefold() for name in named["names"]}
    for name in named["names"]:
        if name.casefold().removeprefix(prefix.casefold()) in topics:
            raise QueryError(f'"{name}" is a stream; call what WITH defines otherwise')
    tables = {name.casefold(): name for name in named["tables"] if name.casefold() not in defined}
    found = {}
    for folded, name in tables.items():
        short = folded.removeprefix(prefix.casefold())
        found[folded] = topics.get(short, name.removeprefix(prefix))
    return found


def _with_hint(error: QueryError, masked: dict[str, dict[str, str]]) -> QueryError:
    """The error, and that a column was left out, if it speaks of one."""
    hidden = {name for names in masked.values() for name in names if name in str(error)}
    if not hidden:
        return error
    return QueryError(f"{error} ({', '.join(sorted(hidden))}: not public, see --sensitive)")


class _Child:
    """The process, its input and its output."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def __enter__(self) -> _Child:
        self._folder = tempfile.TemporaryDirectory(prefix="doa-query-")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd=self._folder.name,
            start_new_session=True,  # a Ctrl-C is ours to tell
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._asks, self._answers = self._process.stdin, self._process.stdout
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._asks, self._answers):
            with _unless_broken():
                pipe.close()
        self._folder.cleanup()

    def say(self, document: dict[str, Any]) -> None:
        """Write a line."""
        with _unless_broken():
            self._asks.write(json.dumps(document).encode() + b"\n")
            self._asks.flush()

    def send(self, table: str, batches: Any, told: Callable[[int], None]) -> None:
        """Write a table. A process that has ended says why when it is listened to."""
        self.say({"table": table})
        try:
            with pa.ipc.new_stream(self._asks, batches.schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)
                    told(batch.num_rows)
            self._asks.flush()
        except BrokenPipeError:
            self.hear(START_S_MAX, "be loaded")

    def hear(self, seconds: float, verb: str) -> dict[str, Any]:
        """Read a line, or end the process after so long. QueryError."""
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        clock = threading.Timer(seconds, end)
        clock.start()
        try:
            line = self._answers.readline(ANSWER_BYTES_MAX)
        finally:
            clock.cancel()
        if late.is_set():
            raise QueryError(
                f"the query did not {verb} within {seconds:g} s and was ended; "
                "ask for less, or give it more --seconds"
            )
        if not line.endswith(b"\n"):
            raise QueryError(self._reason())
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise QueryError(self._sentence(str(found["error"])))
        return found

    def _sentence(self, error: str) -> str:
        if "Out of Memory" in error or "more memory" in error:
            return (
                f"the query and its streams take more than {self._limits.memory_mb:,} MB; "
                "ask for less, or give it more --memory"
            )
        return error

    def _reason(self) -> str:
        code = self._process.wait()
        if code >= 0:
            return f"the process of the query ended with {code} and said nothing"
        name = signal.Signals(-code).name
        return f"the process of the query was ended by {name}; it may have taken too much memory"


@contextmanager
def _unless_broken() -> Iterator[None]:
    """What a process that has ended does not take is lost; its answer says why it ended."""
    try:
        yield
    except BrokenPipeError:
        return
