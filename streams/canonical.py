"""The state of a model in a form that two runs can compare: values, never pickled bytes.

Two models are equal when everything that their pickles would say is: classes, attributes, items and
numbers to the last bit. The order of a dict or a set is not compared, nor which of two equal parts
are one object; both may differ between a model that was folded in one go and one that was restored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

ATOMS = (type(None), bool, int, str, bytes, bytearray, type)
TEXT_MAX = 60

Children = list[tuple[str, Any]]


def state_digest(model: Any) -> str:
    """A digest of all that a model holds, hexadecimal.

    >>> state_digest({"a": 1, "b": [0.5]}) == state_digest({"b": [0.5], "a": 1})
    True
    """
    return _Digests().of(model).hex()


def first_difference(one: Any, other: Any) -> str | None:
    """Where two models differ, in words; None when they are equal.

    >>> first_difference({"a": [1, 2.5]}, {"a": [1, 2.75]})
    "model['a'][1]: 2.5 and 2.75"
    """
    digests = _Digests()
    if digests.of(one) == digests.of(other):
        return None
    path = "model"
    while True:
        (kind, parts), (other_kind, other_parts) = _taken_apart(one), _taken_apart(other)
        labels, other_labels = [k for k, _ in parts], [k for k, _ in other_parts]
        if kind != other_kind or not parts:
            return f"{path}: {_short(one)} and {_short(other)}"
        if labels != other_labels:
            odd = sorted(set(labels) ^ set(other_labels))
            return f"{path}: only one has {', '.join(odd[:3])}"
        pairs = zip(labels, parts, other_parts, strict=True)
        differing = [
            (label, a, b) for label, (_, a), (_, b) in pairs if digests.of(a) != digests.of(b)
        ]
        if not differing:
            return f"{path}: {_short(one)} and {_short(other)}"
        label, one, other = differing[0]
        path += label


class _Digests:
    """Digests of objects, each made once."""

    def __init__(self) -> None:
        self._known: dict[int, bytes] = {}
        self._held: list[Any] = []  # what was seen lives on, so that no id is used twice

    def of(self, held: Any) -> bytes:
        """The digest of what an object says."""
        if id(held) in self._known:
            return self._known[id(held)]
        self._held.append(held)
        self._known[id(held)] = b"a part of itself"
        kind, parts = _taken_apart(held)
        digest = hashlib.sha256(kind.encode())
        for label, part in parts:
            digest.update(label.encode() + b"\0" + self.of(part))
        self._known[id(held)] = digest.digest()
        return self._known[id(held)]


def _taken_apart(held: Any) -> tuple[str, Children]:
    """What an object is, and its parts in an order that does not depend on the run."""
    kind = type(held)
    if kind is float:
        return f"float {held.hex()}", []
    if kind in ATOMS or isinstance(held, type):
        return f"{kind.__name__} {held!r}", []
    if kind in (list, tuple):
        if all(type(part) is int for part in held):  # the state of a random generator: 625 of them
            return f"{kind.__name__} {held!r}", []
        return f"{kind.__name__} {len(held)}", _listed(held)
    if kind in (set, frozenset):
        return f"{kind.__name__} {sorted(map(_name, held))}", []
    if kind is dict:
        return "dict", _keyed(held.items())
    reduced = held.__reduce_ex__(4)
    if isinstance(reduced, str):
        return f"global {reduced}", []
    function, arguments, state, items, entries = (*reduced, None, None, None)[:5]
    parts: Children = [("()", arguments)]
    if isinstance(state, dict):
        parts += [(f".{name}", part) for name, part in sorted(state.items())]
    elif state is not None:
        parts.append((".state", state))
    parts += _listed(items or ()) + _keyed(entries or ())
    return f"{kind.__module__}.{kind.__qualname__} by {function.__qualname__}", parts


def _listed(parts: Iterable[Any]) -> Children:
    return [(f"[{n}]", part) for n, part in enumerate(parts)]


def _keyed(entries: Iterable[tuple[Any, Any]]) -> Children:
    return sorted(((f"[{_name(key)}]", part) for key, part in entries), key=lambda pair: pair[0])


def _name(key: Any) -> str:
    """A key as text: itself, or what it is made of, where that is more than plain values."""
    if isinstance(key, str | int | float | bytes | None):
        return repr(key)
    if type(key) is tuple:
        return f"({', '.join(map(_name, key))})"
    return f"{type(key).__name__} {state_digest(key)}"


def _short(held: Any) -> str:
    text = repr(held)
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 3] + "..."
