"""The graph as a value: which flows there are, what each processor reads and writes, and whether
that can work.

A flow is a folder: all processors that the modules of the package `processors.flights` hold are
the flow `flights`. Nothing else has
to be edited for a new one; topics, subjects, metrics and tests follow from here.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

from schemas.record import Stream
from streams.errors import TopologyError
from streams.lineage import names_of
from streams.loss import Loss
from streams.processor import Learner, Processor, RecordClass
from streams.tolerance import Tolerance

ROOMS = ("schemas", "streams", "processors")
AnyProcessor = Processor | Learner


@dataclass(frozen=True)
class Flow:
    """Processors that run as one: they share key, partitions, consumer group and transactions."""

    name: str
    processors: tuple[AnyProcessor, ...]
    rank: tuple[RecordClass, ...] = ()
    code_version: str = "00000000"
    tolerances: tuple[Tolerance, ...] = ()
    losses: tuple[Loss, ...] = ()

    @property
    def sources(self) -> tuple[Processor, ...]:
        """Its processors that read the outside."""
        return tuple(p for p in self.processors if isinstance(p, Processor) and p.kind == "source")

    @property
    def steps(self) -> tuple[AnyProcessor, ...]:
        """Its processors that read streams, in the order in which they get a record."""
        return tuple(p for p in self.processors if p.kind != "source")

    @property
    def written(self) -> dict[RecordClass, AnyProcessor]:
        """The streams it writes, and who does; snapshots included."""
        return {c: p for p in self.processors for c in outputs_of(p)}

    @property
    def derived(self) -> tuple[str, ...]:
        """The topics whose records follow from its inputs; snapshots, which are caches, left
        out.
        """
        written = [
            c for p in self.steps for c in (p.outputs if isinstance(p, Learner) else p.writes)
        ]
        return tuple(dict.fromkeys(stream_of(c).topic for c in written))

    @property
    def inputs(self) -> tuple[RecordClass, ...]:
        """The streams it reads and does not write, in the order of their rank at equal event
        time.
        """
        read = dict.fromkeys(c for p in self.steps for c in p.reads)
        inputs = [c for c in read if c not in {w for s in self.steps for w in outputs_of(s)}]
        ranks = {c: i for i, c in enumerate(self.rank)}
        return tuple(sorted(inputs, key=lambda c: (ranks.get(c, len(ranks)), stream_of(c).topic)))

    @property
    def domain(self) -> str:
        """The domain of its first stream."""
        return stream_of((*self.inputs, *self.written)[0]).domain

    @property
    def dead_letter(self) -> str:
        """The topic of what it cannot process."""
        return f"{self.domain}.dead_letter"

    @property
    def changelog(self) -> str:
        """The compacted topic of its state."""
        return f"{self.name}-changelog"

    @property
    def journal(self) -> str:
        """The topic that says which input each transaction took."""
        return f"{self.name}-journal"

    @property
    def clock(self) -> str:
        """The topic that moves its time where no event does."""
        return f"{self.name}-clock"

    @property
    def redrive(self) -> str:
        """The topic of dead letters that it is to take again."""
        return f"{self.name}-redrive"

    @property
    def control(self) -> str:
        """The topic of an operator's commands: pause, resume, drain."""
        return f"{self.name}-control"


@dataclass(frozen=True)
class Topology:
    """All flows of the packages that were loaded."""

    flows: dict[str, Flow]
    code_version: str = "00000000"
    packages: tuple[str, ...] = field(default=("processors",))

    @property
    def records(self) -> dict[str, RecordClass]:
        """Every declared stream that a processor touches, by topic."""
        classes = {c for f in self.flows.values() for p in f.processors for c in edges_of(p)}
        return {stream_of(c).topic: c for c in sorted(classes, key=lambda c: stream_of(c).topic)}

    @property
    def names(self) -> dict[bytes, str]:
        """The four-byte codes of all topics and processors, for reading lineage headers."""
        internal = [t for f in self.flows.values() for t in (f.clock, f.redrive)]
        processors = [p.name for f in self.flows.values() for p in f.processors]
        return names_of([*self.records, *internal, *dict.fromkeys(processors)])

    def flow(self, name: str) -> Flow:
        """The flow of a name; TopologyError lists what there is."""
        if name not in self.flows:
            raise TopologyError(
                f"there is no flow {name!r}; there are: {', '.join(self.flows) or 'none'}"
            )
        return self.flows[name]

    def readers(self, record: RecordClass) -> list[tuple[Flow, AnyProcessor]]:
        """Who reads a stream."""
        return [(f, p) for f in self.flows.values() for p in f.processors if record in p.reads]

    def writers(self, record: RecordClass) -> list[tuple[Flow, AnyProcessor]]:
        """Who writes a stream."""
        return [
            (f, p) for f in self.flows.values() for p in f.processors if record in outputs_of(p)
        ]

    def buriers(self, dead_letter: str) -> list[str]:
        """The flows whose dead letters a topic holds: those of a domain share one."""
        return [f.name for f in self.flows.values() if f.steps and f.dead_letter == dead_letter]


def stream_of(record: RecordClass) -> Stream:
    """The stream of a record class; TopologyError if it declares none."""
    if record.stream is None:
        raise TopologyError(
            f"{record.__name__} declares no stream; give its class `stream=Stream(...)`"
        )
    return record.stream


def outputs_of(processor: AnyProcessor) -> tuple[RecordClass, ...]:
    """The streams that a processor writes, a learner's snapshots included."""
    if isinstance(processor, Learner):
        return (*processor.outputs, processor.snapshots)
    return processor.writes


def edges_of(processor: AnyProcessor) -> tuple[RecordClass, ...]:
    """The streams that a processor reads or writes."""
    return (*processor.reads, *outputs_of(processor))


def discover(packages: Iterable[str] = ("processors",)) -> Topology:
    """Import the packages and gather their flows: each folder that holds processors is one."""
    packages = tuple(dict.fromkeys(packages))
    folders = list(_folders(packages))
    version = code_version(packages)
    flows: dict[str, Flow] = {}
    for name, modules in folders:
        processors = processors_in(modules)
        if not processors:
            continue
        if name in flows:
            raise TopologyError(f"two packages hold a flow {name!r}; rename one of the folders")
        rank = getattr(modules[0], "RANK", ())
        tolerances = getattr(modules[0], "TOLERANCES", ())
        losses = getattr(modules[0], "LOSSES", ())
        ordered = _ordered(name, processors)
        flows[name] = Flow(name, ordered, rank, version, tolerances, losses)
    return Topology(flows, version, packages)


def code_version(packages: Iterable[str]) -> str:
    """Eight hex digits that change with any line of the rooms or of the packages."""
    digest = hashlib.blake2b(digest_size=4)
    for package in dict.fromkeys((*ROOMS, *packages)):
        # The source is last: what was compiled of it comes before it (`ops.compiled`).
        folder = Path(list(_package(package).__path__)[-1])
        for path in sorted(folder.rglob("*.py")):
            digest.update(
                str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0"
            )
    return digest.hexdigest()


def _folders(packages: Iterable[str]) -> Iterator[tuple[str, list[ModuleType]]]:
    for package in packages:
        root = _package(package)
        yield package.rsplit(".", 1)[-1], [root, *_modules_in(root, packages_too=False)]
        for info in pkgutil.iter_modules(root.__path__, f"{package}."):
            if info.ispkg:
                folder = importlib.import_module(info.name)
                yield (
                    info.name.rsplit(".", 1)[-1],
                    [folder, *_modules_in(folder, packages_too=True)],
                )


def _package(name: str) -> ModuleType:
    try:
        package = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise TopologyError(f"there is no package {name!r} to load: {error}") from error
    if not hasattr(package, "__path__"):
        raise TopologyError(f"{name!r} is a module; name the package that holds it")
    return package


def _modules_in(package: ModuleType, packages_too: bool) -> list[ModuleType]:
    infos = pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    skipped = ("test_", "conftest")
    return [
        importlib.import_module(info.name)
        for info in infos
        if (packages_too or not info.ispkg) and not info.name.rsplit(".", 1)[-1].startswith(skipped)
    ]


def processors_in(modules: Iterable[ModuleType]) -> list[AnyProcessor]:
    """The processors that some modules hold, by name."""
    found: dict[int, AnyProcessor] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Processor | Learner):
                found.setdefault(id(value), value)
    return sorted(found.values(), key=lambda p: p.name)


def with_processors(flow: Flow, processors: Iterable[AnyProcessor]) -> Flow:
    """A flow with these processors beside its own, in the place of those of the same name."""
    named = {p.name: p for p in flow.processors} | {p.name: p for p in processors}
    return replace(flow, processors=_ordered(flow.name, list(named.values())))


def _ordered(flow: str, processors: list[AnyProcessor]) -> tuple[AnyProcessor, ...]:
    """Writers before readers, by name where that leaves a choice; TopologyError on a cycle."""
    ordered: list[AnyProcessor] = []
    waiting = list(processors)
    while waiting:
        pending = {c for p in waiting for c in outputs_of(p)}
        ready = next((p for p in waiting if not pending & set(_causes(p))), None)
        if ready is None:
            names = ", ".join(p.name for p in waiting)
            raise TopologyError(f"flow {flow}: {names} form a cycle; a record would cause itself")
        ordered.append(ready)
        waiting.remove(ready)
    return tuple(ordered)


def _causes(processor: AnyProcessor) -> tuple[RecordClass, ...]:
    """What a record can be caused by at once. Examples come back to their learner only with an
    answer from outside.
    """
    if isinstance(processor, Learner):
        return () if processor.questions is None else (processor.questions,)
    return processor.reads
