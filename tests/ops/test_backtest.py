from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ops.backtest.branch import run_at
from ops.backtest.change import BadChange, Module, Setting, change_of, changed
from ops.backtest.compare import Comparison, StreamChange, Unpaired, compare
from ops.backtest.paired import DAY_MS, Paired
from schemas.record import Record
from streams.codec import MemoryRegistry
from streams.driver import Driver
from streams.errors import TopologyError, Unregistered
from streams.journal import InputGone
from streams.loss import Loss
from streams.plan import Plan
from streams.processor import fold
from streams.scratch import ScratchRegistry
from tests.streams.toy import (
    KEYS,
    Adder,
    Event,
    Example,
    Guess,
    Nothing,
    Question,
    driver,
    events,
    learner,
    sort,
)

GUESS, EXAMPLE, QUESTION = "toy.prediction.guess", "toy.example.thing", "toy.feature.question"
RATE = "processors.learning.delay_model.PROBABILITY_RATE"


def doubled(model: Adder, example: Example) -> None:
    assert example.answer is not None
    model.total += 2 * example.answer


@fold(reads=Event, writes=(Question, Example), state=Nothing, key="key", name="sort")
def choosy(state: Nothing | None, event: Event) -> tuple[None, list[Record]]:
    """Like `sort`, but asks nothing at an even time."""
    if event.answer is None and event.at_ms % 2 == 0:
        return None, []
    return None, [(Question if event.answer is None else Example)(**dict(event))]


def ran(*answers: int | None) -> Driver:
    return driver(sort, learner(), batch_records=2).run(events(*answers))


def backtest(done: Driver, *processors: Any, losses: tuple[Loss, ...] = (), **options: Any) -> Any:
    flow = replace(done.flow, processors=processors, losses=losses)
    told: list[dict[str, Any]] = []
    plan = Plan(flow, ScratchRegistry(done.plan.registry), keys=KEYS)
    found: Comparison = compare(plan, done, 1, told=told.append, **options)
    return found, told


def same(found: Comparison) -> dict[str, int]:
    return {topic: stream.same for topic, stream in found.streams.items()}


def test_code_that_is_not_changed_writes_the_same() -> None:
    found, told = backtest(ran(5, None, 2_000, None), sort, learner())
    assert same(found) == {QUESTION: 2, EXAMPLE: 2, GUESS: 2, "toy.signal.alarm": 1}
    assert (told, found.dead_letters, dict(found.codes)) == ([], 0, {"00000000": 2})


def test_changed_model_changes_what_it_says_and_nothing_else() -> None:
    done = ran(5, None, 2, None)
    found, told = backtest(done, sort, learner(learn=doubled))
    assert same(found) == {QUESTION: 2, EXAMPLE: 2, GUESS: 0, "toy.signal.alarm": 0}
    assert found.streams[GUESS] == StreamChange(
        changed=2, fields=found.streams[GUESS].fields, first=f"{GUESS}[0]#0"
    )
    assert dict(found.streams[GUESS].fields) == {"answer": 2}
    assert told[1] == {
        "topic": GUESS,
        "what": "changed",
        "id": f"{GUESS}[0]#1",
        "key": "x",
        "at_ms": 3,
        "fields": {"answer": [7, 14]},
    }


def test_record_that_is_missing_does_not_shift_those_that_follow() -> None:
    done = ran(None, None, None, None)
    found, told = backtest(done, choosy, learner())
    assert found.streams[QUESTION] == StreamChange(same=2, removed=2, first=f"{QUESTION}[0]#0")
    assert found.streams[GUESS] == StreamChange(same=2, removed=2, first=f"{GUESS}[0]#0")
    assert [(t["topic"], t["what"], t["id"], t["at_ms"]) for t in told] == [
        (QUESTION, "removed", f"{QUESTION}[0]#0", 0),
        (QUESTION, "removed", f"{QUESTION}[0]#2", 2),
        (GUESS, "removed", f"{GUESS}[0]#0", 0),
        (GUESS, "removed", f"{GUESS}[0]#2", 2),
    ]


def test_record_that_only_the_change_writes_is_added_and_has_no_id() -> None:
    done = driver(choosy, learner()).run(events(None, None, None))
    found, told = backtest(done, sort, learner())
    assert found.streams[QUESTION] == StreamChange(same=1, added=2)
    assert [(t["what"], t["id"], t["at_ms"]) for t in told if t["topic"] == QUESTION] == [
        ("added", None, 0),
        ("added", None, 2),
    ]


def test_what_is_before_the_beginning_is_learnt_from_but_not_compared() -> None:
    found, _ = backtest(ran(5, None, 2, None), sort, learner(learn=doubled), since_ms=3)
    assert found.streams[GUESS].changed == 1
    assert same(found)[QUESTION] == 1


def test_losses_are_those_of_the_same_examples() -> None:
    loss = Loss("distance to nine", Guess, lambda guess: abs(guess.answer - 9))
    found, _ = backtest(ran(3, None, 2, None), sort, learner(learn=doubled), losses=(loss,))
    paired = found.losses[(GUESS, "distance to nine")]
    # It said 3 and 5; it would have said 6 and 10.
    assert (paired.examples, paired.before, paired.after, paired.difference) == (2, 5, 2, -3)
    assert paired.interval is None  # of one day


def test_example_without_a_loss_is_left_out() -> None:
    loss = Loss("none", Guess, lambda guess: None)
    found, _ = backtest(ran(3, None), sort, learner(), losses=(loss,))
    assert found.losses[(GUESS, "none")] == Paired()


def test_change_that_raises_is_told_as_dead_letters() -> None:
    def fails(model: Adder, question: Question, version: int) -> Guess:
        raise ValueError("cannot")

    found, _ = backtest(ran(5, None, None), sort, learner(predict=fails))
    assert found.dead_letters == 2
    assert found.streams[GUESS].removed == 2


def test_stream_that_is_not_in_the_registry_is_compared_too() -> None:
    done = ran(5, None)
    done.plan.registry.schema_id = _unregistered  # type: ignore[attr-defined]
    assert same(backtest(done, sort, learner())[0])[GUESS] == 1


def _unregistered(subject: str, schema: dict[str, Any]) -> int:
    raise Unregistered(f"{subject} has no such schema")


def test_scratch_registry_reads_the_other_and_keeps_its_own_ids_apart() -> None:
    other = MemoryRegistry()
    known = other.schema_id("a-value", {"type": "int"})
    scratch = ScratchRegistry(other)
    other.schema_id = _unregistered  # type: ignore[method-assign]
    own = scratch.schema_id("b-value", {"type": "long"})
    assert (scratch.any_schema(known), scratch.writer_schema("a-value", known)) == (
        {"type": "int"},
        {"type": "int"},
    )
    assert (own > known, scratch.any_schema(own)) == (True, {"type": "long"})
    assert scratch.writer_schema("b-value", own) == {"type": "long"}


def test_records_of_a_running_flow_that_came_meanwhile_are_not_removed() -> None:
    done = ran(5, None)
    late = done.logs[(GUESS, 0)]
    bounds = done.bounds
    done.bounds = lambda topic, partition: (0, 1 if topic == GUESS else bounds(topic, 0)[1])  # type: ignore[method-assign]
    late.append(late[0]._replace(offset=1))
    assert backtest(done, sort, learner())[0].streams[GUESS] == StreamChange(same=1)


def test_records_older_than_what_retention_left_are_not_added() -> None:
    done = ran(None, 5, None, None)
    log = done.logs[(GUESS, 0)]
    del log[0]
    done.bounds = lambda topic, partition: (1 if topic == GUESS else 0, 9)  # type: ignore[method-assign]
    assert backtest(done, sort, learner())[0].streams[GUESS] == StreamChange(same=2)


def test_value_that_cannot_be_decoded_is_named() -> None:
    done = ran(5, None)
    done.logs[(GUESS, 0)][0] = done.logs[(GUESS, 0)][0]._replace(value=b"\0")
    with pytest.raises(Unpaired, match=r"toy.prediction.guess\[0\]@0: "):
        backtest(done, sort, learner())


def test_input_that_is_gone_is_told() -> None:
    done = ran(5, None)
    del done.logs[("toy.event.thing", 0)][0]
    with pytest.raises(InputGone, match=r"toy.event.thing\[0\]"):
        backtest(done, sort, learner())


def test_interval_takes_a_day_as_one_draw() -> None:
    alone, crowd = Paired(), Paired()
    for day, difference in enumerate([0.1, 0.3, 0.2, 0.4]):
        alone.add(day * DAY_MS, 1.0, 1.0 + difference)
        for second in range(100):
            crowd.add(day * DAY_MS + second, 1.0, 1.0 + difference)
    assert alone.interval == pytest.approx((0.04457397, 0.45542603), abs=1e-7)
    assert crowd.interval == pytest.approx(alone.interval, abs=1e-7)
    assert Paired().interval is None


# --- what can be changed


@pytest.fixture
def module() -> Iterator[ModuleType]:
    """A module of somebody's, without processors."""
    made = ModuleType("somebodys")
    made.__spec__ = ModuleSpec("somebodys", None)
    sys.modules["somebodys"] = made
    yield made
    del sys.modules["somebodys"]


def test_setting_is_in_force_when_the_model_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    from processors.learning import delay_model

    monkeypatch.setattr(delay_model, "PROBABILITY_RATE", delay_model.PROBABILITY_RATE)
    change = change_of(f"{RATE}=1")
    assert change == Setting("processors.learning.delay_model", "PROBABILITY_RATE", 1)
    assert isinstance(change, Setting)
    flow = changed(("processors",), "flights", change)
    model = next(p for p in flow.processors if p.name == "planned").model()  # type: ignore[union-attr]
    assert model.probability.optimizer.lr.learning_rate == 1.0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (f"{RATE}=fast", "'fast' is no JSON"),
        (f'{RATE}="fast"', "is of another kind"),
        (f"{RATE}=true", "is of another kind"),
        ("processors.learning.delay_model.SPEED=1", "it has: PROBABILITY_RATE"),
        ("processors.learning.nothing.SPEED=1", "no module processors.learning.nothing"),
        ("os.path.SPEED=1", "only constants of processors can be set"),
        ("PROBABILITY_RATE=1", "MODULE.NAME=VALUE was expected"),
        ("processors.flights.LOSSES=1", "is of another kind"),
        ("processors.flights.inputs.AIRCRAFT_MS=true", "is of another kind"),
        ("processors.flights.inputs.LEFT_MINUTES_MIN=-5", "change it in a branch"),
        ("--upload-pack=x", "no JSON"),
    ],
)
def test_setting_that_cannot_be_made_is_refused(text: str, error: str) -> None:
    with pytest.raises(BadChange, match=error):
        changed(("processors",), None, change_of(text))  # type: ignore[arg-type]


def test_module_takes_the_place_of_a_processor_of_the_same_name(module: ModuleType) -> None:
    from processors.flights.planned import planned

    module.other = replace(planned, doc="Another.")  # type: ignore[attr-defined]
    flow = changed(("processors",), None, Module("somebodys"))
    assert [p.doc for p in flow.processors if p.name == "planned"] == ["Another."]
    assert len(flow.processors) == len(changed(("processors",), None, None).processors)


def test_module_without_a_change_is_refused(module: ModuleType) -> None:
    from processors.flights.planned import planned

    module.planned = planned  # type: ignore[attr-defined]
    with pytest.raises(BadChange, match="no processor but those of flights"):
        changed(("processors",), None, Module("somebodys"))


def test_module_that_the_flow_cannot_work_with_is_refused(module: ModuleType) -> None:
    module.sort = sort  # type: ignore[attr-defined]
    with pytest.raises(TopologyError):
        changed(("processors",), None, Module("somebodys"))


def test_flow_has_to_be_named_where_there_are_several() -> None:
    packages = ("processors", "ops.examples")
    with pytest.raises(BadChange, match="--flow: flights, tides"):
        changed(packages, None, None)
    assert changed(packages, "tides", None).name == "tides"


@pytest.mark.parametrize("text", ["", "-x", " "])
def test_text_that_is_no_change_is_refused(text: str) -> None:
    with pytest.raises(BadChange, match="is no change"):
        change_of(text)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a commit that has no backtest, and one whose command writes what it got."""
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "--quiet")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "none")
    (root / "ops" / "backtest").mkdir(parents=True)
    (root / "ops" / "backtest" / "__init__.py").write_text("")
    (root / "ops" / "__main__.py").write_text(
        "import os, pathlib, sys\n"
        "home = pathlib.Path(os.environ['DOA_HOME'])\n"
        "(home / 'got').write_text(' '.join([os.getcwd(), *sys.argv[1:]]))\n"
        "sys.exit(7)\n"
    )
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "one")
    return root


def git(root: Path, *arguments: str) -> str:
    names = ("-c", "user.name=somebody", "-c", "user.email=nobody@example.org")
    done = subprocess.run(
        ["git", *names, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout


def test_branch_runs_in_a_worktree_that_is_gone_afterwards(
    repository: Path, tmp_path: Path
) -> None:
    assert run_at("HEAD", ["backtest", "--since", "0"], tmp_path, repository) == 7
    folder, *arguments = (tmp_path / "got").read_text().split()
    assert (folder != str(repository), Path(folder).exists()) == (True, False)
    assert arguments == ["backtest", "--since", "0"]
    assert len(git(repository, "worktree", "list").splitlines()) == 1


@pytest.mark.parametrize(
    ("commit", "error"),
    [("nowhere", "no commit or branch"), ("HEAD~1", "rebase it"), ("--all", "no commit or branch")],
)
def test_branch_that_cannot_be_run_is_told(
    repository: Path, tmp_path: Path, commit: str, error: str
) -> None:
    with pytest.raises(BadChange, match=error):
        run_at(commit, ["backtest"], tmp_path, repository)
    assert len(git(repository, "worktree", "list").splitlines()) == 1
