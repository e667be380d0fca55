"""Models to signed records and back. Nothing is unpickled before its signature has been checked,
and then only from a list.

Two guards, one behind the other: an HMAC over every field of the envelope (no key, no snapshot, and
no bit may differ), and an unpickler that knows an exact list of names. A snapshot is a cache of a
fold over examples: what is refused here can be rebuilt.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import platform
import secrets
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from schemas.snapshot import ALGORITHM, Snapshot
from streams.errors import NotWritten, SnapshotError, VersionSkew
from streams.unpickle import dumps, loads

DOMAIN = b"doa model snapshot v1\x00"
KEY_BYTES_MIN = 32
KEYS_KEPT = 2  # one signs, and the one before it still verifies
PART_BYTES_MAX = 900_000  # with its envelope it fits into a record of Kafka's default limit


@dataclass(frozen=True)
class Keys:
    """Signing keys by id: the first signs, all verify, so that a key can be replaced while its
    snapshots live on.
    """

    keys: dict[str, bytes] = field(repr=False)

    @classmethod
    def generate(cls) -> Keys:
        """One new key."""
        return cls({secrets.token_hex(4): secrets.token_bytes(KEY_BYTES_MIN)})

    @classmethod
    def load(cls, path: Path) -> Keys:
        """Read `{id: hex}`; SnapshotError when there is none, others could use it, or a key is
        short.
        """
        try:
            with path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                text = file.read()
        except OSError as error:
            raise SnapshotError(f"{path} cannot be read: {error.strerror}") from error
        if mode & 0o077:
            raise SnapshotError(
                f"{path} can be used by others (mode {mode:o}); run: chmod 600 {path}"
            )
        try:
            keys = {name: bytes.fromhex(key) for name, key in json.loads(text).items()}
        except (ValueError, TypeError, AttributeError):
            # The cause is left out: it quotes what it could not parse, which may be a key.
            raise SnapshotError(f"{path} is not a JSON object of hexadecimal keys") from None
        if not keys or min(map(len, keys.values())) < KEY_BYTES_MIN:
            raise SnapshotError(
                f"{path}: at least one key is needed, each of {KEY_BYTES_MIN} bytes or more"
            )
        return cls(keys)

    @classmethod
    def load_or_create(cls, path: Path) -> Keys:
        """Read the keys of a home, made when it has none; two that begin at once agree on one."""
        if not os.path.exists(path):  # a folder that may not be looked into is told of below
            with cls.generate()._draft(path) as draft, suppress(FileExistsError):
                os.link(draft, path)  # if another process is quicker, its keys are used
        return cls.load(path)

    @classmethod
    def rotate(cls, path: Path) -> tuple[Keys, list[str]]:
        """Put a new key before the one that signs, which only verifies from now on; all others are
        forgotten. Returns the keys, and the ids of those that are gone.

        Two that rotate at once do so one after the other.
        """
        cls.load_or_create(path)
        with _locked(path.with_name(f"{path.name}.lock")):
            before = cls.load(path)
            newest = {**cls.generate().keys, **before.keys}
            kept = dict(list(newest.items())[:KEYS_KEPT])
            with cls(kept)._draft(path) as draft:
                draft.replace(path)
            return cls(kept), [name for name in newest if name not in kept]

    @contextmanager
    def _draft(self, path: Path) -> Iterator[Path]:
        """The keys in a file beside a path, for their owner alone; NotWritten."""
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "w") as file:
                    keys = {name: key.hex() for name, key in self.keys.items()}
                    file.write(json.dumps(keys) + "\n")
                yield draft
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise NotWritten.because(path, error) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        lock = path.open("w")
    except OSError as error:
        raise NotWritten.because(path, error) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@cache
def versions() -> tuple[str, str]:
    """Python's and river's here; the latter is read from a file."""
    return platform.python_version(), version("river")


def seal_model(
    kind: type[Snapshot],
    keys: Keys,
    model: Any,
    *,
    factory: Callable[[], Any] | None = None,
    **fields: Any,
) -> list[Snapshot]:
    """Pickle a model and sign its envelope: the parts of one snapshot, in order; `fields` are those
    of `Snapshot` that only the caller knows.

    `factory` is what the learner declares as its model, as for `open_model`.
    """
    payload = dumps(model, factory or type(model))
    python, river = versions()
    places = range(0, len(payload), PART_BYTES_MAX)
    owner = f"{fields['learner']}@{fields['partition']}"
    key_id = next(iter(keys.keys))
    common = {
        **fields,
        "algorithm": ALGORITHM,
        "key_id": key_id,
        "python": python,
        "river": river,
        "parts": len(places),
        "payload_sha256": hashlib.sha256(payload).hexdigest(),
    }
    parts = []
    for part, place in enumerate(places):
        envelope = {
            **common,
            "key": _record_key(owner, fields["generation"], part),
            "part": part,
            "payload": payload[place : place + PART_BYTES_MAX],
        }
        assert envelope.keys() == kind.model_fields.keys() - {"tag"}, "a snapshot says all of it"
        parts.append(kind(**envelope, tag=_tag(keys.keys[key_id], envelope)))
    return parts


def verify(record: Snapshot, keys: Keys, owner: str) -> None:
    """Check signature and owner of one part before anything is parsed; SnapshotError says which
    check failed.
    """
    key = keys.keys.get(record.key_id)
    if key is None or record.algorithm != ALGORITHM:
        raise SnapshotError(
            f"snapshot of {owner} is signed with an unknown key {record.key_id[:40]!r}"
        )
    envelope = {name: getattr(record, name) for name in type(record).model_fields if name != "tag"}
    if not hmac.compare_digest(_tag(key, envelope), record.tag):
        raise SnapshotError(
            f"snapshot of {owner}: the signature does not match; it was changed or is not ours"
        )
    if owner != f"{record.learner}@{record.partition}" or record.key != _record_key(
        owner, record.generation, record.part
    ):
        raise SnapshotError(f"snapshot of {record.key} was found where one of {owner} was expected")


def open_model(
    parts: Sequence[Snapshot], keys: Keys, owner: str, factory: Callable[[], Any]
) -> Any:
    """The model of a snapshot: whole, verified, of this python and river, unpickled from the list
    of allowed names.

    The classes of the learner's own code are allowed too: those in the module of `factory`, and in
    what it imports.
    """
    for record in parts:
        verify(record, keys, owner)
    first = parts[0]
    if [p.part for p in parts] != list(range(first.parts)):
        raise SnapshotError(
            f"snapshot of {owner} is torn: {first.parts} parts were expected in order, here are "
            f"{', '.join(str(p.part) for p in parts)}"
        )
    here = tuple(map(_minor, versions()))
    there = (_minor(first.python), _minor(first.river))
    if here != there:
        raise VersionSkew(
            f"snapshot of {owner} is of python {there[0]}, river {there[1]}; "
            f"here are {here[0]}, {here[1]}"
        )
    payload = b"".join(p.payload for p in parts)
    if any(hashlib.sha256(payload).hexdigest() != p.payload_sha256 for p in parts):
        raise SnapshotError(f"snapshot of {owner}: its parts are not those of one payload")
    return loads(payload, factory)


def _record_key(owner: str, generation: int, part: int) -> str:
    """Two generations in turn, so that a compacted topic keeps the last and the one before it."""
    return f"{owner}/{generation % 2}/{part}"


def _tag(key: bytes, envelope: dict[str, Any]) -> bytes:
    """HMAC over domain, names and values, each with its length: no two envelopes look alike."""
    mac = hmac.new(key, DOMAIN, hashlib.sha256)
    for name in sorted(envelope):
        value = envelope[name]
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        for part in (name.encode(), data):
            mac.update(struct.pack(">Q", len(part)) + part)
    return mac.digest()


def _minor(text: str) -> str:
    return ".".join(text.split(".")[:2])
