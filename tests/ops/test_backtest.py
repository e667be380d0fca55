from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ops.backtest import pairs
from ops.backtest.compare import BadLoss, Comparison, StreamChange, compare
from ops.backtest.paired import DAY_MS, Paired
from ops.backtest.pairs import Unpaired
from ops.commands.backtest import _remarks
from schemas.record import Record, Stream, field
from streams.codec import MemoryRegistry
from streams.driver import Driver
from streams.errors import NotFound, Unregistered
from streams.journal import InputGone
from streams.loss import Loss
from streams.plan import Plan
from streams.processor import fold
from streams.scratch import ScratchRegistry
from streams.topology import Flow
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
from tests.system.clinic.flow import Count, Visit, Visits, counts

GUESS, EXAMPLE, QUESTION = "toy.prediction.guess", "toy.example.thing", "toy.feature.question"
COUNT = "clinic.feature.count"


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
    options.setdefault("registered", lambda topic: ids(done, f"{topic}-value"))
    found: Comparison = compare(plan, done, 1, told=told.append, **options)
    return found, told


def ids(done: Driver, subject: str) -> list[int]:
    """Of the schemas that a subject has in the registry."""
    schemas = done.plan.registry._schemas  # type: ignore[attr-defined]
    return [number for number, (owner, _) in enumerate(schemas, 1) if owner == subject]


def same(found: Comparison) -> dict[str, int]:
    return {topic: stream.same for topic, stream in found.streams.items()}


def test_code_that_is_not_changed_writes_the_same() -> None:
    found, told = backtest(ran(5, None, 2_000, None), sort, learner())
    assert same(found) == {QUESTION: 2, EXAMPLE: 2, GUESS: 2, "toy.signal.alarm": 1}
    assert (told, found.dead_letters_after, dict(found.codes)) == ([], 0, {"00000000": 2})


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
    assert (found.dead_letters_before, found.dead_letters_after) == (0, 2)
    assert found.streams[GUESS].removed == 2


def test_dead_letters_that_are_there_are_no_news() -> None:
    done = ran(5, None, -1, None)
    done.publish_raw("toy.dead_letter", b"x", b"", **{"error.flow": b"another"})
    found, _ = backtest(done, sort, learner())
    assert (found.dead_letters_before, found.dead_letters_after) == (1, 1)
    assert found.dead_letters_cut == 0


def test_dead_letters_that_retention_has_cut_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    done = ran(5, -1, None)
    bounds = done.bounds
    done.bounds = lambda t, p: (1, 1) if t == "toy.dead_letter" else bounds(t, p)  # type: ignore[method-assign]
    found, _ = backtest(done, sort, learner())
    assert found.dead_letters_cut == 1
    _remarks(found, done.flow, None)
    assert "of 1 partitions the oldest dead letters are gone" in capsys.readouterr().err


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


def test_records_that_are_left_out_wait_for_no_counterpart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "UNPAIRED_MAX", 2)
    done = ran(*[None] * 10)
    found, told = backtest(done, sort, learner(), since_ms=7)
    assert (found.streams[GUESS], told) == (StreamChange(same=3), [])
    del done.logs[(GUESS, 0)][:6]
    done.bounds = lambda topic, partition: (6 if topic == GUESS else 0, 10)  # type: ignore[method-assign]
    found, told = backtest(done, sort, learner())
    assert (found.streams[GUESS], told) == (StreamChange(same=4), [])
    found, told = backtest(done, sort, learner(), since_ms=8)
    assert (found.streams[GUESS], told) == (StreamChange(same=2), [])


def test_stream_of_which_retention_left_nothing_is_not_compared() -> None:
    done = ran(None, None)
    del done.logs[(GUESS, 0)]
    done.bounds = lambda topic, partition: (2 if topic == GUESS else 0, 2)  # type: ignore[method-assign]
    assert backtest(done, sort, learner())[0].streams[GUESS] == StreamChange()


def test_stream_that_is_not_in_the_cluster_is_new() -> None:
    """A log of the cluster refuses what is not there."""
    done = driver(sort).run(events(5, None))
    bounds, records = done.bounds, done.records

    def bounds_of(topic: str, partition: int) -> tuple[int, int]:
        if topic.startswith(("toy.prediction", "toy.signal")):
            raise NotFound(f"there is no {topic}[{partition}] in the cluster")
        return bounds(topic, partition)

    def records_of(topic: str, *places: Any) -> Iterator[Any]:
        assert not topic.startswith(("toy.prediction", "toy.signal"))
        return records(topic, *places)

    done.bounds, done.records = bounds_of, records_of  # type: ignore[method-assign, assignment]
    found, _ = backtest(done, sort, learner())
    assert found.streams[GUESS] == StreamChange(added=1)
    assert found.streams[QUESTION] == StreamChange(same=1)


def test_log_that_has_ended_is_asked_once_more_at_the_close() -> None:
    done, asked = driver(choosy, learner()).run(events(None, None, None)), []
    records = done.records

    def records_of(topic: str, *places: Any) -> Iterator[Any]:
        asked.append(topic)
        return records(topic, *places)

    done.records = records_of  # type: ignore[method-assign, assignment]
    assert backtest(done, sort, learner())[0].streams[GUESS] == StreamChange(same=1, added=2)
    assert asked.count(GUESS) == 3  # its record, its end, the close


def test_a_look_is_taken_at_what_is_left_of_a_log_and_at_each_dead_letter() -> None:
    def looks(*given: int | None, function: Any = sort) -> int:
        looked: list[None] = []
        backtest(ran(5, *given), function, learner(), check=lambda: looked.append(None))
        return len(looked)

    assert looks(-1, None) == looks(None) + 1
    assert looks(None, None, function=choosy) > looks(None, None)  # the change writes less


def test_value_that_cannot_be_decoded_is_named() -> None:
    done = ran(5, None)
    done.logs[(GUESS, 0)][0] = done.logs[(GUESS, 0)][0]._replace(value=b"\0")
    wanted = r"toy.prediction.guess\[0\]@0 is no record: WIRE_FORMAT: "
    with pytest.raises(Unpaired, match=wanted) as told:
        backtest(done, sort, learner())
    assert (told.value.__cause__, told.value.__suppress_context__) == (None, True)


@pytest.mark.parametrize(
    ("loss", "error"),
    [
        (lambda guess: float("nan"), r"\[0\]#0, as it was written, is nan; a finite number"),
        (lambda guess: 1 / (guess.answer - 10), r"#0, after the change, raised ZeroDivisionError"),
        (lambda guess: f"{guess.key} is bad", r"#0, as it was written, is of type str; a finite"),
        (lambda guess: 10**400, r"#0, as it was written, is of type int; a finite number"),
    ],
)
def test_loss_that_is_no_number_is_told(loss: Any, error: str) -> None:
    losses = (Loss("odd", Guess, loss),)
    with pytest.raises(BadLoss, match=rf"'odd' of toy.prediction.guess.*{error}") as told:
        backtest(ran(5, None), sort, learner(learn=doubled), losses=losses)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__ == (told.value.__context__ is not None)


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


# --- what is private


def public() -> Any:
    """Counts as a change has them that would make public who came."""

    class Count(Record, stream=Stream(COUNT, "person", "at_ms", "ward")):
        """How often somebody came."""

        person: str = field("Number of the person.")
        at_ms: int = field("When.", unit="ms", ge=0)
        visits: int = field("How often.", ge=1)

    return Count


def counting(visits: Any, record: Any = Count, later_ms: int = 0) -> Any:
    """A clinic that counts otherwise, or later: `visits` of those before."""

    def count(state: Visits | None, visit: Visit) -> tuple[Visits, list[Any]]:
        known = 1 if state is None else state.visits + 1
        at_ms = visit.at_ms + later_ms
        said = record.model_construct(person=visit.person, at_ms=at_ms, visits=visits(known))
        return Visits(person=visit.person, visits=known), [said] if said.visits is not None else []

    return replace(counts, function=count, writes=(record,))


def visited(clinic: Any, *persons: str) -> Driver:
    visits = [
        Visit(person=person, at_ms=n, ward="north", homes=[], contacts={})
        for n, person in enumerate(persons)
    ]
    return Driver(Flow("clinic", (clinic,)), keys=KEYS).run(visits)


@pytest.mark.parametrize("record", [Count, public()])
def test_what_is_private_is_compared_and_not_told(record: Any) -> None:
    done = visited(counts, "ada", "eva", "ada")
    _, told = backtest(done, counting(lambda known: known + 1 if known > 1 else None, record))
    changed = {"topic": COUNT, "what": "changed", "id": f"{COUNT}[0]#2", "key": "‹personal›"}
    removed = {"topic": COUNT, "what": "removed", "id": f"{COUNT}[0]#0", "key": "‹personal›"}
    assert [one for one in told if one["at_ms"] != 1] == [
        {**changed, "at_ms": 2, "fields": {"visits": [2, 3]}},
        {**removed, "at_ms": 0, "fields": {"person": "‹personal›", "at_ms": 0, "visits": 1}},
    ]
    assert "ada" not in json.dumps(told)


def test_change_of_what_is_private_is_told_to_whoever_may_see() -> None:
    done = visited(counts, "ada")
    log = done.logs[(COUNT, 0)]
    log[0] = log[0]._replace(value=visited(counts, "eva").logs[(COUNT, 0)][0].value)
    for may_see, person in ((frozenset(), "‹personal›"), ({"personal"}, "eva")):
        [one] = backtest(done, counts, may_see=frozenset(may_see))[1]
        assert one["fields"] == {"person": [person, "ada" if may_see else person]}
        assert one["key"] == ("ada" if may_see else person)
    [one] = backtest(done, counting(lambda known: known, public()))[1]
    assert one["fields"] == {"person": ["‹personal›", "‹personal›"]}


def test_record_that_only_the_change_writes_is_as_private_as_its_stream_was() -> None:
    done = visited(counts, "ada")
    registered = dict.fromkeys((COUNT,), ids(done, f"{COUNT}-value"))
    done.plan.registry.schema_id = _unregistered  # type: ignore[attr-defined]
    changed = counting(lambda known: known, public(), later_ms=5)
    _, told = backtest(done, changed, registered=registered.__getitem__)
    assert told[1] == {
        **{"topic": COUNT, "what": "added", "id": None, "key": "‹personal›", "at_ms": 5},
        "fields": {"person": "‹personal›", "at_ms": 5, "visits": 1},
    }
    assert "ada" not in json.dumps(told)


def test_error_does_not_quote_what_is_private() -> None:
    with pytest.raises(Unpaired, match="no record: OUT_OF_BOUNDS: ‹personal›") as told:
        backtest(visited(counts, "ada"), counting(lambda known: 0))
    assert (told.value.__cause__, told.value.__suppress_context__) == (None, True)
