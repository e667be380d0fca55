"""A unit restores from its last snapshots, from what is left of them, or from the examples alone;
never from what somebody else put there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from importlib.metadata import version
from platform import python_version
from typing import Any

import pytest

import streams.restore
import streams.snapshot
from schemas.snapshot import Snapshot
from streams.driver import CRASH, Driver
from streams.merge import Stored
from streams.snapshot import Keys
from tests.streams.toy import KEYS, Model, driver, events, guesses, learner, sort

PLACE = ("toy.model.thing", 0)
PART_BYTES = 25
EVERY = 2
ANSWERS = [1, 2, None, 3, 4, None, 5, 6, 7, None]
EXPECTED = [(3, 2), (10, 4), (28, 7)]
LATER = events(*([None] * len(ANSWERS)), 8, None)[len(ANSWERS) :]
EXPECTED_LATER = [(36, 8)]

Log = list[Stored]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots of the toy model have three parts."""
    monkeypatch.setattr("streams.snapshot.PART_BYTES_MAX", PART_BYTES)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Generations whose payload reached the unpickler."""
    reached: list[int] = []
    parts: list[Snapshot] = []

    def open_model(given: Any, *rest: Any) -> Any:
        parts[:] = given
        return really_open(given, *rest)

    def loads(payload: bytes, factory: Any) -> Any:
        reached.append(parts[0].generation)
        return really_load(payload, factory)

    really_open, really_load = streams.restore.open_model, streams.snapshot.loads
    monkeypatch.setattr("streams.restore.open_model", open_model)
    monkeypatch.setattr("streams.snapshot.loads", loads)
    return reached


def ran() -> Driver:
    found = driver(sort, learner(snapshot_every=EVERY)).run(events(*ANSWERS))
    assert guesses(found) == EXPECTED
    return found


def restored(found: Driver, change: Callable[[Log], Log]) -> list[Any]:
    """Change what the topic of snapshots holds, kill, and go on: the later answers."""
    log = change(found.logs[PLACE])
    found.logs[PLACE] = [s._replace(offset=n) for n, s in enumerate(log)]
    found.crash()
    return guesses(found.run(LATER))[len(EXPECTED) :]


def part(stored: Stored) -> Snapshot:
    return CODEC.decode(stored.value)  # type: ignore[no-any-return]


CODEC = ran().plan.codec(Model)
CODEC.register()


def of(generation: int) -> Callable[[Stored], bool]:
    return lambda stored: part(stored).generation == generation


def test_snapshot_is_written_in_parts_two_generations_in_turn() -> None:
    parts = ran().read(Model)
    assert [(p.key, p.generation, p.version) for p in parts] == [
        (f"adder@0/{generation % 2}/{n}", generation, EVERY * generation)
        for generation in (1, 2, 3)
        for n in range(3)
    ]


def test_last_snapshot_is_used(opened: list[int]) -> None:
    assert restored(ran(), lambda log: log) == EXPECTED_LATER
    assert opened == [3]


def test_compaction_leaves_two_whole_snapshots(opened: list[int]) -> None:
    def compacted(log: Log) -> Log:
        return sorted({s.key: s for s in log}.values(), key=lambda s: s.offset)

    found = ran()
    assert len(compacted(found.logs[PLACE])) == 6
    assert restored(found, compacted) == EXPECTED_LATER
    found = ran()
    assert restored(found, lambda log: compacted(log)[:-1]) == EXPECTED_LATER
    assert opened == [3, 2]


LOSSES: dict[str, tuple[Callable[[Log], Log], list[int]]] = {
    "first part": (lambda log: [s for s in log if s.key != b"adder@0/1/0"], [2]),
    "middle part": (lambda log: [s for s in log if s.key != b"adder@0/1/1"], [2]),
    "last part": (lambda log: log[:-1], [2]),
    "all parts": (lambda log: log[:-3], [2]),
    "parts of both": (lambda log: [s for s in log if not (s.key or b"").endswith(b"/1")], []),
    "everything": (lambda log: [], []),
    "forgotten by nulls": (
        lambda log: [*log, *(Stored(0, s.key, None, {}) for s in log)],
        [],
    ),
    "one part forgotten": (lambda log: [*log, Stored(0, b"adder@0/1/2", None, {})], [2]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_lost_is_made_good_by_older_snapshots_and_examples(
    name: str, opened: list[int]
) -> None:
    change, expected = LOSSES[name]
    assert restored(ran(), change) == EXPECTED_LATER
    assert opened == expected


def test_old_snapshot_written_again_is_refused(
    opened: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """Signed by us, whole, and the newest in its topic: but the changelog knows better."""

    def rolled_back(log: Log) -> Log:
        return [*log, *filter(of(1), log)]

    assert restored(ran(), rolled_back) == EXPECTED_LATER
    assert opened == [3]
    opened.clear()
    assert restored(ran(), lambda log: rolled_back(log)[-3:]) == EXPECTED_LATER
    assert opened == []
    assert "generation 1 is neither the last one, 3, nor the one before" in caplog.text


def test_snapshot_of_a_flow_that_was_reset_is_refused(opened: list[int]) -> None:
    """One of a later generation, from before a reset, is not a snapshot of these examples."""
    before = driver(sort, learner(snapshot_every=1)).run(events(*[1_000] * 9))
    late = [s for s in before.logs[PLACE] if part(s).generation > 4]
    assert restored(ran(), lambda log: late) == EXPECTED_LATER
    assert opened == []
    fresh = driver(sort, learner())
    fresh.logs[PLACE] = late
    fresh.crash()
    assert guesses(fresh.run(events(1, None))) == [(1, 1)]
    assert opened == []


@pytest.mark.parametrize("here", [("3.99.1", version("river")), (python_version(), "3.99.1")])
def test_snapshot_of_another_python_or_river_is_rebuilt_from_the_examples(
    here: tuple[str, str],
    opened: list[int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = ran()
    monkeypatch.setattr("streams.snapshot.versions", lambda: here)
    assert restored(found, lambda log: log) == EXPECTED_LATER
    assert opened == []
    assert "3.99" in caplog.text and "examples are folded from the first" in caplog.text
    found.crash()
    assert opened == [4], "what this version wrote it opens"


def test_keys_can_be_rotated_between_snapshots(opened: list[int]) -> None:
    found = ran()
    found.plan.keys = Keys({"new": bytes([7] * 32), **KEYS.keys})
    assert restored(found, lambda log: log) == EXPECTED_LATER
    assert [p.key_id for p in found.read(Model)] == ["test"] * 9 + ["new"] * 3
    found.plan.keys = Keys({"newer": bytes([8] * 32), "new": bytes([7] * 32)})
    found.crash()
    assert guesses(found.run(events(*[None] * 13)))[-1] == (36, 8)
    assert opened == [3, 4]


@pytest.mark.parametrize("batch_records", [1, 3])
def test_example_that_raises_after_a_snapshot_is_left_out_again(
    batch_records: int, opened: list[int]
) -> None:
    items = events(1, 2, None, -7, 3, None, -9, 4, None)
    without = guesses(driver(sort, learner()).run([i for i in items if (i.answer or 0) >= 0]))
    for at in (9, 8, 6, 5):
        items.insert(at, CRASH)
    found = driver(sort, learner(snapshot_every=EVERY), batch_records=batch_records).run(items)
    assert [answer for answer, _ in guesses(found)] == [answer for answer, _ in without]
    assert len(opened) > 3


def tampered(log: Log, foreign: Log, number: int) -> Log:
    """The topic with every snapshot that would be used spoilt, in another way for each number."""
    chance = random.Random(number)
    return [_spoilt(stored, log, foreign, number % 7, chance) for stored in log]


def _spoilt(stored: Stored, log: Log, foreign: Log, kind: int, chance: random.Random) -> Stored:
    value = stored.value or b""
    place = chance.randrange(len(value))
    if kind == 0:  # a bit flips
        spoilt = (
            value[:place] + bytes([value[place] ^ 1 << chance.randrange(8)]) + value[place + 1 :]
        )
    elif kind == 1:  # cut off
        spoilt = value[:place]
    elif kind == 2:  # something is inserted or appended
        at = chance.choice([place, len(value)])
        spoilt = value[:at] + chance.randbytes(chance.randrange(1, 9)) + value[at:]
    elif kind == 3:  # signed by another key that calls itself ours
        spoilt = next(f.value for f in foreign if f.key == stored.key) or b""
    elif kind == 4:  # one field of another snapshot of ours
        spoilt = _with_field_of(part(stored), part(chance.choice(log)), chance)
    elif kind == 5:  # the first generation, everywhere
        spoilt = chance.choice([s for s in log if of(1)(s)]).value or b""
    else:  # a byte is another one
        other = (value[place] + chance.randrange(1, 256)) % 256
        spoilt = value[:place] + bytes([other]) + value[place + 1 :]
    return stored._replace(value=spoilt)


def _with_field_of(record: Snapshot, other: Snapshot, chance: random.Random) -> bytes:
    names = [n for n in type(record).model_fields if getattr(record, n) != getattr(other, n)]
    if not names:
        return CODEC.encode(record.model_copy(update={"version": record.version + 1}))
    name = chance.choice(names)
    return CODEC.encode(record.model_copy(update={name: getattr(other, name)}))


def test_no_tampered_snapshot_of_a_thousand_reaches_the_unpickler(opened: list[int]) -> None:
    """Refused, and the model is the same: 1,000 times, with bits flipped, bytes lost or added,
    keys and fields swapped, old generations put back.
    """
    for found, number in campaign(1_000):
        assert opened == [], f"number {number} reached the unpickler"
        (step,) = [s for s in found.units[0].steps if s.name == "adder"]
        assert (step.model.total, step.version, step.generation) == (28, 7, 3), number  # type: ignore[attr-defined]


def campaign(count: int) -> Iterator[tuple[Driver, int]]:
    """A flow restored from tampered snapshots, and how they were tampered with."""
    found = ran()
    foreign = driver(sort, learner(snapshot_every=EVERY))
    foreign.plan.keys = Keys({"test": bytes([1] * 32)})
    foreign.run(events(*ANSWERS))
    whole = found.logs[PLACE]
    for number in range(count):
        found.logs[PLACE] = tampered(whole, foreign.logs[PLACE], number)
        assert found.logs[PLACE] != whole
        found.crash()
        yield found, number


@pytest.mark.parametrize(
    ("target", "broken"),
    [
        ("streams.snapshot.hmac.compare_digest", lambda one, other: True),
        ("streams.snapshot_log.verify", lambda record, keys, owner: None),
        ("streams.restore.last_two", lambda found, generation, refuse: found),
    ],
)
def test_campaign_sees_that_a_check_is_missing(
    target: str, broken: Any, opened: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.restore.REFUSED_TOLD_MAX", 0)
    monkeypatch.setattr(target, broken)
    if target.endswith(".verify"):
        monkeypatch.setattr("streams.snapshot.verify", broken)
    list(campaign(70))
    assert opened != []
