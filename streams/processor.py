"""How processors are declared: pure functions with typed edges.

A **source** reads the outside and yields records with the position after each; a **transform**
maps one record to records;
a **fold** also gets what was remembered under the record's key and returns what to remember; a
**learner** folds examples into a
model and answers questions with it. The decorators only note the edges: the function itself stays
callable, and nothing runs
until a flow is built from them. Code that needs the clock, randomness, the network or the disk
belongs into a source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from schemas.record import Record
from schemas.snapshot import Snapshot

Kind = Literal["source", "transform", "fold", "learner"]
Parents = Literal["all", "latest", "range"]
RecordClass = type[Record]

SNAPSHOT_EVERY = 1_000  # few to fold again after a kill; a model of megabytes wants more


def minutes(count: float) -> int:
    """Minutes in ms."""
    return int(count * 60_000)


def hours(count: float) -> int:
    """Hours in ms."""
    return int(count * 3_600_000)


def days(count: float) -> int:
    """Days in ms.

    >>> days(2)
    172800000
    """
    return int(count * 86_400_000)


@dataclass(frozen=True)
class Clock:
    """The last item of a finite source: moves time to `at_ms` in every partition that it fed."""

    at_ms: int


@dataclass(frozen=True)
class Table:
    """One keyed state of a fold.

    Parameters
    ----------
    key
        Fields of the record that make the key; a record in which one is None does not touch the
        table.
    expires
        ms after its creation (with `renews`: after its last write) at which an entry is forgotten,
        1 at least.
    parents
        Which ids an entry keeps: of "all" records that wrote it, of the "latest", or a "range"
        from the first to the last. Of more than 64, "all" keeps a range of each partition: it names
        every one of them, and others that lie between.
    in_place
        The function may change the state it was given. If it raises, the batch is rolled back and
        run again without the record.
    touched_by
        The records that get this table's state; by default all that the fold reads.
    """

    name: str
    state: RecordClass
    key: tuple[str, ...]
    expires: int | None = None
    renews: bool = False
    parents: Parents = "all"
    in_place: bool = False
    touched_by: tuple[RecordClass, ...] = ()


def table(name: str, *, state: RecordClass, key: str | tuple[str, ...], **options: Any) -> Table:
    """Declare a table of a fold; `options` are those of `Table`."""
    return Table(name, state, (key,) if isinstance(key, str) else key, **options)


@dataclass(eq=False)
class Processor:
    """A declared processor. Calling it calls its function."""

    name: str
    kind: Kind
    reads: tuple[RecordClass, ...]
    writes: tuple[RecordClass, ...]
    function: Callable[..., Any]
    module: str
    doc: str = ""
    tables: tuple[Table, ...] = ()
    single: bool = True
    expired_function: Callable[[Any, int], Iterable[Record]] | None = None
    position: RecordClass | None = None

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.function(*args, **options)

    def expired(self, function: Callable[[Any, int], Iterable[Record]]) -> Any:
        """Declare what a fold of one table says when an entry passes its deadline (state, its
        deadline in ms).
        """
        assert self.kind == "fold" and self.single, "only a fold of one table can declare `expired`"
        assert self.tables[0].expires is not None, "a table without `expires` never expires"
        self.expired_function = function
        return function


@dataclass(eq=False)
class Learner:
    """A model as a fold over one stream of examples, and its answers to one stream of questions.

    `predict(model, question, version)` returns a prediction or None (no answer); `learn(model,
    example)` changes the model in
    place and may return records (signals). `version` is the number of examples folded. From
    `until_ms` (event time) on
    the model learns no more: it is frozen. State is a signed snapshot of the pickled model in the
    stream of `snapshots`, every
    `snapshot_every` examples; what came after it is folded again.
    """

    name: str
    examples: RecordClass
    model: Callable[[], Any]
    learn: Callable[[Any, Any], Iterable[Record] | None]
    snapshots: type[Snapshot]
    questions: RecordClass | None = None
    predicts: RecordClass | None = None
    predict: Callable[[Any, Any, int], Record | None] | None = None
    writes: tuple[RecordClass, ...] = ()
    until_ms: int | None = None
    snapshot_every: int = SNAPSHOT_EVERY
    doc: str = ""
    module: str = field(default="", init=False)
    kind: Kind = field(default="learner", init=False)

    def __post_init__(self) -> None:
        assert (self.questions is None) == (self.predicts is None) == (self.predict is None), (
            f"learner {self.name}: questions, predicts and predict go together"
        )

    @property
    def reads(self) -> tuple[RecordClass, ...]:
        """Answers before questions."""
        return (self.examples,) if self.questions is None else (self.examples, self.questions)

    @property
    def outputs(self) -> tuple[RecordClass, ...]:
        """All that it writes besides snapshots."""
        return (*(() if self.predicts is None else (self.predicts,)), *self.writes)


def source(
    *, writes: RecordClass | tuple[RecordClass, ...], position: RecordClass
) -> Callable[[Callable[..., Iterator[Any]]], Processor]:
    """Declare a generator that reads the outside: called with the position to go on from (None at
    first) and options,
    it yields (position after this record, record) in event-time order, and may end with a
    `Clock`.
    """
    return lambda f: _processor(f, "source", (), _classes(writes), position=position)


def transform(
    *, reads: RecordClass | tuple[RecordClass, ...], writes: RecordClass | tuple[RecordClass, ...]
) -> Callable[[Callable[..., Iterable[Record]]], Processor]:
    """Declare a pure function from one record to any number of records."""
    return lambda f: _processor(f, "transform", _classes(reads), _classes(writes))


def fold(
    *,
    reads: RecordClass | tuple[RecordClass, ...],
    writes: RecordClass | tuple[RecordClass, ...],
    tables: tuple[Table, ...] = (),
    state: RecordClass | None = None,
    key: str | tuple[str, ...] = (),
    name: str | None = None,
    **options: Any,
) -> Callable[[Callable[..., tuple[Any, Iterable[Record]]]], Processor]:
    """Declare a pure function (state, record) -> (new state, records).

    With `state` and `key` there is one table, and the state is its entry or None; with `tables`
    the state is a tuple of entries in
    their order. The state returned as it came is unchanged; None deletes it.
    """
    assert (state is None) != (not tables), "a fold declares either `state` and `key` or `tables`"
    single = state is not None
    if state is not None:
        tables = (table("state", state=state, key=key, **options),)
    read = _classes(reads)
    tables = tuple(replace(t, touched_by=t.touched_by or read) for t in tables)
    return lambda f: _processor(
        f, "fold", read, _classes(writes), tables=tables, single=single, name=name
    )


def _classes(classes: RecordClass | tuple[RecordClass, ...]) -> tuple[RecordClass, ...]:
    return classes if isinstance(classes, tuple) else (classes,)


def _processor(
    function: Callable[..., Any],
    kind: Kind,
    reads: tuple[RecordClass, ...],
    writes: tuple[RecordClass, ...],
    name: str | None = None,
    **options: Any,
) -> Processor:
    doc = (function.__doc__ or "").strip().split("\n")[0]
    return Processor(
        name or function.__name__,
        kind,
        reads,
        writes,
        function,
        function.__module__,
        doc,
        **options,
    )
