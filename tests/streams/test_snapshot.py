"""Sealed models open again; what was changed, moved or forged is refused before unpickling."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from river import linear_model, preprocessing

import streams.snapshot
from processors.learning.delay_model import DelayModel
from schemas.record import Stream
from schemas.snapshot import Snapshot
from streams.codec import Codec, MemoryRegistry
from streams.errors import SnapshotError, StreamsError, VersionSkew
from streams.snapshot import Keys, open_model, seal_model, verify

KEYS = Keys({"new": bytes(range(32)), "old": bytes(range(32, 64))})
OWNER = "planned@3"


class TideModel(Snapshot, stream=Stream("harbour.model.tide", "key", "time_ms", "harbours")):
    """A model of tides."""


def learnt() -> DelayModel:
    model = DelayModel()
    for i in range(200):
        model.learn({f"hour={i % 24}": 1.0}, late=i % 3 == 0, minutes=float(i % 50))
    return model


def sealed_parts(model: Any = None, keys: Keys = KEYS, **more: Any) -> list[Snapshot]:
    fields: dict[str, Any] = {
        "learner": "planned",
        "partition": 3,
        "time_ms": 1_357_000_000_000,
        "generation": 4,
        "version": 200,
        "offset_hint": 180,
        "code_version": "c0de",
    } | more
    return seal_model(TideModel, keys, model or learnt(), factory=DelayModel, **fields)


def sealed(model: Any = None, keys: Keys = KEYS, **more: Any) -> Snapshot:
    (record,) = sealed_parts(model, keys, **more)
    return record


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Payloads that reached the unpickler."""
    reached: list[bytes] = []

    def loads(payload: bytes, factory: Any) -> Any:
        reached.append(payload)

    monkeypatch.setattr(streams.snapshot, "loads", loads)
    return reached


def test_model_predicts_after_opening_as_before_sealing() -> None:
    model = learnt()
    opened = open_model([sealed(model)], KEYS, OWNER, DelayModel)
    asked = {"hour=3": 1.0, "hour=4": 0.5}
    assert opened.predict(asked, anchor=2.0) == model.predict(asked, anchor=2.0)
    for one in (model, opened):
        one.learn(asked, late=True, minutes=90.0)
    assert opened.predict(asked) == model.predict(asked)


def test_envelope_says_what_it_is_a_cache_of() -> None:
    record = sealed()
    said = record.model_dump(exclude={"payload", "payload_sha256", "tag"})
    assert said == {
        "key": "planned@3/0/0",
        "learner": "planned",
        "partition": 3,
        "time_ms": 1_357_000_000_000,
        "generation": 4,
        "version": 200,
        "offset_hint": 180,
        "code_version": "c0de",
        "algorithm": "hmac-sha256",
        "key_id": "new",
        "python": platform.python_version(),
        "river": streams.snapshot.versions()[1],
        "part": 0,
        "parts": 1,
    }
    assert record.payload_sha256 == hashlib.sha256(record.payload).hexdigest()
    assert len(record.tag) == 32


def test_snapshot_opens_after_its_way_through_avro() -> None:
    codec = Codec(TideModel, "harbour.model.tide-value", MemoryRegistry())
    record = sealed()
    assert codec.decode(codec.encode(record)) == record
    assert isinstance(open_model([record], KEYS, OWNER, DelayModel), DelayModel)


def test_second_key_still_opens_what_it_sealed_and_a_third_does_not() -> None:
    old, third = Keys({"old": KEYS.keys["old"]}), Keys({"third": bytes(32)})
    verify(sealed(keys=old), KEYS, OWNER)
    with pytest.raises(SnapshotError, match="unknown key 'third'"):
        verify(sealed(keys=third), KEYS, OWNER)
    with pytest.raises(SnapshotError, match="signature does not match"):
        verify(sealed(keys=Keys({"new": bytes(32)})), KEYS, OWNER)


def tampered(record: Snapshot, number: int) -> Snapshot:
    """The record with one thing changed, another one for each number."""
    chance = random.Random(number)
    name = sorted(TideModel.model_fields)[number % len(TideModel.model_fields)]
    value = getattr(record, name)
    if isinstance(value, int):
        value = value + chance.choice([1, 2, 7, 1_000])
    elif isinstance(value, bytes):
        place = chance.randrange(len(value))
        cut = value[:place] + bytes([value[place] ^ 1 << chance.randrange(8)]) + value[place + 1 :]
        value = chance.choice([cut, value[:place], value + b"\x00"])
    elif name == "payload_sha256":
        value = hashlib.sha256(bytes([number % 256])).hexdigest()
    else:
        value = chance.choice([value + "x", value[:-1], "", value.swapcase() + " "])
    return record.model_copy(update={name: value})


@pytest.mark.parametrize("number", range(340))
def test_no_tampered_snapshot_reaches_the_unpickler(number: int, canary: list[bytes]) -> None:
    record = sealed(model={"a": 1.5})
    changed = tampered(record, number)
    assert changed != record
    with pytest.raises(SnapshotError):
        open_model([changed], KEYS, OWNER, DelayModel)
    assert canary == []


def test_untampered_snapshot_reaches_the_unpickler(canary: list[bytes]) -> None:
    record = sealed(model={"a": 1.5})
    open_model([record], KEYS, OWNER, DelayModel)
    assert canary == [record.payload]


def test_swapped_payload_with_its_own_digest_is_refused(canary: list[bytes]) -> None:
    payload = b"cos\nsystem\n."
    digest = hashlib.sha256(payload).hexdigest()
    changed = sealed().model_copy(update={"payload": payload, "payload_sha256": digest})
    with pytest.raises(SnapshotError, match="signature does not match"):
        open_model([changed], KEYS, OWNER, DelayModel)
    assert canary == []


def test_snapshot_of_another_owner_is_refused(canary: list[bytes]) -> None:
    with pytest.raises(SnapshotError, match="planned@3/0/0 was found where one of drift@3"):
        open_model([sealed()], KEYS, "drift@3", DelayModel)
    with pytest.raises(SnapshotError, match="drift@3/0/0 was found where one of planned@3"):
        open_model([sealed(learner="drift")], KEYS, OWNER, DelayModel)
    assert canary == []


def test_large_model_is_cut_into_parts_that_make_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.snapshot.PART_BYTES_MAX", 500)
    model = learnt()
    parts = sealed_parts(model)
    assert len(parts) > 3
    assert [p.key for p in parts] == [f"planned@3/0/{n}" for n in range(len(parts))]
    assert {len(p.payload) for p in parts[:-1]} == {500}
    opened = open_model(parts, KEYS, OWNER, DelayModel)
    assert opened.predict({"hour=3": 1.0}) == model.predict({"hour=3": 1.0})


def test_record_of_a_part_fits_into_the_default_limit_of_kafka() -> None:
    codec = Codec(TideModel, "harbour.model.tide-value", MemoryRegistry())
    parts = sealed_parts(random.Random(7).randbytes(2_000_000))
    assert [len(p.payload) for p in parts] == [900_000, 900_000, 200_009]
    sizes = [len(codec.encode(p)) for p in parts]
    assert max(sizes) < min(codec.bytes_max, 1_048_588 - 10_000), "room for key, headers, batch"


@pytest.mark.parametrize(
    "change",
    [
        lambda p, other: p[:-1],
        lambda p, other: p[1:],
        lambda p, other: [p[1], p[0], *p[2:]],
        lambda p, other: [*p, p[-1]],
        lambda p, other: [p[0], p[0], *p[2:]],
        lambda p, other: [*p[:-1], other[-1]],
        lambda p, other: [other[0], *p[1:]],
    ],
    ids=["cut", "headless", "swapped", "doubled", "repeated", "other end", "other start"],
)
def test_torn_snapshot_does_not_reach_the_unpickler(
    change: Any, canary: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.snapshot.PART_BYTES_MAX", 1_000)
    parts, other = sealed_parts([0.25] * 400), sealed_parts([0.75] * 400, generation=6)
    assert len(parts) == len(other) > 2
    with pytest.raises(SnapshotError, match=r"torn|not those of one payload"):
        open_model(change(parts, other), KEYS, OWNER, DelayModel)
    assert canary == []


@pytest.mark.parametrize("place", [0, 1])
def test_snapshot_of_another_version_asks_for_a_rebuild(
    place: int, monkeypatch: pytest.MonkeyPatch, canary: list[bytes]
) -> None:
    record = sealed()
    here = [*streams.snapshot.versions()]
    here[place] = "9.9.9"
    monkeypatch.setattr("streams.snapshot.versions", lambda: here)
    with pytest.raises(VersionSkew, match=r"here are .*9\.9"):
        open_model([record], KEYS, OWNER, DelayModel)
    assert canary == []


def test_patch_versions_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    record = sealed()
    minor = ".".join(platform.python_version().split(".")[:2])
    here = (f"{minor}.99", streams.snapshot.versions()[1])
    monkeypatch.setattr("streams.snapshot.versions", lambda: here)
    assert isinstance(open_model([record], KEYS, OWNER, DelayModel), DelayModel)


def test_model_that_could_not_be_opened_is_not_sealed() -> None:
    model = preprocessing.TargetStandardScaler(linear_model.LinearRegression())
    with pytest.raises(SnapshotError, match=r"the model holds .*, which no snapshot may name"):
        sealed(model)


def test_keys_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "keys.json"
    made = Keys.load_or_create(path)
    assert Keys.load_or_create(path) == made == Keys.load(path)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert os.listdir(path.parent) == ["keys.json"]
    assert [len(key) for key in made.keys.values()] == [32]


def test_rotated_key_signs_and_the_one_before_it_still_verifies(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    first = Keys.load_or_create(path)
    second, forgotten = Keys.rotate(path)
    assert forgotten == []
    assert list(second.keys)[1:] == list(first.keys)
    third, forgotten = Keys.rotate(path)
    assert list(third.keys)[1:] == list(second.keys)[:1]
    assert forgotten == list(first.keys)
    assert Keys.load(path) == third
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert sorted(os.listdir(tmp_path)) == ["keys.json", "keys.json.lock"]
    by_second = sealed(keys=second)
    verify(by_second, third, OWNER)
    verify(sealed(keys=third), third, OWNER)
    with pytest.raises(SnapshotError, match="unknown key"):
        verify(sealed(keys=first), third, OWNER)
    with pytest.raises(SnapshotError, match="unknown key"):
        verify(sealed(keys=third), second, OWNER)


def test_keys_that_are_rotated_at_once_are_rotated_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with ThreadPoolExecutor(8) as pool:
        results = [f.result() for f in [pool.submit(Keys.rotate, path) for _ in range(16)]]
    gone = [name for _, forgotten in results for name in forgotten]
    assert len(gone) == len(set(gone)) == 15, "each key went once, two are left of seventeen"
    assert len(Keys.load(path).keys) == 2


def test_keys_are_not_shown() -> None:
    assert repr(KEYS) == "Keys()"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o610])
def test_key_file_that_others_can_use_is_refused(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    Keys.load_or_create(path)
    path.chmod(mode)
    with pytest.raises(SnapshotError, match=rf"can be used by others \(mode {mode:o}\)"):
        Keys.load(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"a": 7}',
        '{"a": "not hexadecimal"}',
        json.dumps({"a": "00" * 31}),
        json.dumps({"a": "00" * 32, "b": ""}),
    ],
)
def test_file_without_proper_keys_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SnapshotError) as caught:
        Keys.load(path)
    assert "00000000" not in str(caught.value)


def test_missing_key_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="No such file"):
        Keys.load(tmp_path / "keys.json")
    assert issubclass(VersionSkew, SnapshotError)
    assert issubclass(SnapshotError, StreamsError)
