from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.record import Record, Stream, field
from streams.errors import TopologyError
from streams.processor import Processor, fold, source, table, transform
from streams.topology import Flow, Topology, discover
from streams.validation import checked, validate


class Event(Record, stream=Stream("toy.event.thing", "key", "at_ms", "me")):
    """An event."""

    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms", ge=0)
    other: str = field("Another key.", default="")


class Plain(Record):
    """Of no stream."""

    key: str = field("Key.")


def kind(topic: str, key: str = "key", event_time: str = "at_ms", **options: Any) -> type[Event]:
    """A record class of a stream of its own."""

    class Derived(Event, stream=Stream(topic, key, event_time, "me", **options)):
        """Derived."""

    return Derived


Feature = kind("toy.feature.thing")


def step(name: str, reads: Any = Event, writes: Any = (), **options: Any) -> Processor:
    """A transform or, with a state, a fold."""

    def function(*_: Any) -> Any:
        return ()

    function.__name__ = name
    if options:
        return fold(reads=reads, writes=writes, **options)(function)
    return transform(reads=reads, writes=writes)(function)


def of(*processors: Processor, name: str = "toy") -> Topology:
    return Topology({name: Flow(name, processors)})


@pytest.mark.parametrize(
    ("topology", "expected"),
    [
        (of(step("f", Plain)), "f reads or writes Plain, which declares no stream"),
        (of(step("f", kind("toy.event"))),
         "Derived: topic 'toy.event' is not <domain>.<stage>.<noun>"),
        (of(step("f", kind("toy.raw.thing"))),
         "Derived: topic 'toy.raw.thing' is not <domain>.<stage>.<noun>"),
        (of(step("f", kind("toy.event.x", key="at_ms"))),
         "Derived: its key 'at_ms' must be a field of type str"),
        (of(step("f", kind("toy.event.x", event_time="when"))),
         "Derived: its event time 'when' must be a field of type int"),
        (of(step("f", writes=Feature), step("g", writes=Feature)),
         "toy.feature.thing has several writers (f, g); a derived stream has one"),
        (of(step("f", writes=kind("toy.event.other"))),
         "f writes the event topic toy.event.other; only sources may"),
        (of(step("f", Feature)), "f reads toy.feature.thing, which flow toy does not write"),
        (of(step("f", writes=kind("toy.feature.x", key="other"))),
         "f has a stream keyed by 'other', the others of flow toy by 'key'; "
         "put it in a flow of its own"),
        (of(step("f", state=Event, key="key")),
         "f.state: its state Event is a stream; declare a class without one"),
        (of(step("f", state=Plain, key="nothing")),
         "f.state: Event has no field 'nothing' to be its key"),
        (of(step("f", tables=(table("t", state=Plain, key="key", touched_by=(Feature,)),))),
         "f.t is touched by Derived, which f does not read"),
        (of(step("f", tables=(table("t/u", state=Plain, key="key"),))),
         "f.t/u: the changelog parts names by slashes; choose names without"),
        (of(step("f", state=Plain, key="key", expires=0)),
         "f.state: its entries expire after 0 ms; 1 or more was expected"),
        (of(step("f", writes=kind("toy.feature.a")), step("f", writes=kind("toy.feature.b"))),
         "flow toy has two processors called 'f'"),
        (of(step("seen")), "no processor can be called 'seen': the changelog uses that name"),
        (of(step("plumless"), step("buckeroo")),
         "buckeroo and plumless share the code 4ddb0c25"),
        (of(step("f", writes=(kind("toy.feature.plumless"), kind("toy.feature.buckeroo")))),
         "toy.feature.plumless and toy.feature.buckeroo share the code"),
        (of(step("f", writes=kind("toy.feature.x", retention_days=3_651))),
         "toy.feature.x is kept 3651 days, its inputs only 3650"),
    ],
)  # fmt: skip
def test_each_rule_names_the_offender(topology: Topology, expected: str) -> None:
    problems = validate(topology)
    assert len(problems) == 1
    assert problems[0].startswith(expected)
    with pytest.raises(TopologyError) as error:
        checked(topology)
    assert str(error.value) == problems[0]


def test_good_topology_has_no_problem() -> None:
    topology = of(step("f", writes=Feature), step("g", (Event, Feature), state=Plain, key="other"))
    assert validate(topology) == []
    assert checked(topology) is topology


def test_several_sources_may_write_an_event_topic() -> None:
    @source(writes=Event, position=Plain)
    def one(position: Plain | None) -> Any:
        return iter(())

    @source(writes=Event, position=Plain)
    def two(position: Plain | None) -> Any:
        return iter(())

    assert validate(Topology({"a": Flow("a", (one,)), "b": Flow("b", (two,))})) == []


def test_inputs_are_sorted_by_rank_then_by_topic() -> None:
    kinds = {name: kind(f"toy.event.{name}") for name in ("a", "b", "c", "d")}
    flow = Flow("toy", (step("f", tuple(kinds.values())),), rank=(kinds["c"], kinds["b"]))
    assert flow.inputs == (kinds["c"], kinds["b"], kinds["a"], kinds["d"])


def test_unknown_flow_is_answered_with_those_there_are() -> None:
    with pytest.raises(TopologyError, match=r"^there is no flow 'x'; there are: toy$"):
        of(step("f")).flow("x")


# --- discovery

RECORDS = """
from schemas.record import Record, Stream, field

class Event(Record, stream=Stream("{0}.event.thing", "key", "at_ms", "me")):
    "An event."
    key: str = field("Key.")
    at_ms: int = field("When.", unit="ms")

class Feature(Event, stream=Stream("{0}.feature.thing", "key", "at_ms", "me")):
    "A feature."

class Signal(Event, stream=Stream("{0}.signal.thing", "key", "at_ms", "me")):
    "A signal."
"""
STEP = """
from streams.processor import transform
from {0}.records import Event, Feature, Signal

@transform(reads={2}, writes={3})
def {1}(record):
    "A step."
    return ()
"""


def package(folder: Path, name: str, **steps: tuple[str, str]) -> str:
    """A package that is a flow: a module of records, and one of each step (reads, writes)."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text("")
    (folder / name / "records.py").write_text(RECORDS.format(name))
    for module, (reads, writes) in steps.items():
        text = STEP.format(name, module.removeprefix("test_"), reads, writes)
        (folder / name / f"{module}.py").write_text(text)
    return name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which packages can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_folder_of_processors_is_a_flow_in_the_order_of_a_records_walk(folder: Path) -> None:
    name = package(folder, "walk", aaa=("Feature", "Signal"), zzz=("Event", "Feature"))
    flow = discover([name]).flow("walk")
    assert [p.name for p in flow.processors] == ["zzz", "aaa"]
    assert [c.__name__ for c in flow.inputs] == ["Event"]
    assert (flow.domain, flow.dead_letter) == ("walk", "walk.dead_letter")


def test_test_files_are_not_processors(folder: Path) -> None:
    name = package(folder, "tested", f=("Event", "Feature"), test_g=("Event", "Signal"))
    assert [p.name for p in discover([name]).flow("tested").processors] == ["f"]


def test_cycle_is_refused_by_name(folder: Path) -> None:
    name = package(folder, "cycle", a=("Feature", "Signal"), b=("Signal", "Feature"))
    with pytest.raises(
        TopologyError, match=r"^flow cycle: a, b form a cycle; a record would cause itself$"
    ):
        discover([name])


def test_two_flows_of_one_name_are_refused(folder: Path) -> None:
    name = package(folder, "twice", f=("Event", "Feature"))
    package(folder / "twice", "twice")
    (folder / "twice" / "twice" / "f.py").write_text(STEP.format("twice", "g", "Event", "Signal"))
    with pytest.raises(
        TopologyError, match=r"^two packages hold a flow 'twice'; rename one of the folders$"
    ):
        discover([name])


def test_missing_package_is_named() -> None:
    with pytest.raises(TopologyError, match=r"^there is no package 'nowhere' to load: "):
        discover(["nowhere"])


def test_module_in_place_of_a_package_is_refused() -> None:
    with pytest.raises(
        TopologyError, match=r"^'streams\.seen' is a module; name the package that holds it$"
    ):
        discover(["streams.seen"])


def test_code_version_changes_with_a_line_of_a_package(folder: Path) -> None:
    name = package(folder, "lines", f=("Event", "Feature"))
    before = discover([name]).code_version
    assert discover([name]).code_version == before
    (folder / "lines" / "f.py").write_text("# changed\n")
    assert discover([name]).code_version != before
