"""Pickles of models, made from and read by an exact list of names.

A pickle is a program: it calls what it can name. Here it can name classes of models and containers,
listed in `allowed.json`, and those that the learner's own code declares. No function is listed, no
name with a dot (it would reach the attributes of what is listed), and not `builtins.getattr`.
`functools.partial` is: it binds what the pickle could call anyway, and reaches nothing more. What
holds other names, such as a bound method, cannot be in a snapshot, and is refused when it is
written.
"""

from __future__ import annotations

import io
import json
import pickle
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any

from streams.errors import SnapshotError
from streams.opcodes import check_opcodes

PICKLE_PROTOCOL = 5
PAYLOAD_BYTES_MAX = 64_000_000

Names = Mapping[str, frozenset[str]]

# What the models of the zoo in the tests need, written by `python -m tests.streams.zoo`.
ALLOWED: Names = {
    module: frozenset(names)
    for module, names in json.loads(
        Path(__file__).with_name("allowed.json").read_text(encoding="utf-8")
    ).items()
}


def dumps(model: Any, factory: Callable[[], Any] | None = None) -> bytes:
    """Pickle a model that `loads` will read; SnapshotError names what it holds that may not be in a
    snapshot.
    """
    file = io.BytesIO()
    try:
        _Pickler(file, declared(factory)).dump(model)
    except SnapshotError:
        raise
    except Exception as error:  # any object may raise anything when it is pickled
        raise SnapshotError(f"the model cannot be pickled: {_said(error)}") from error
    if file.tell() > PAYLOAD_BYTES_MAX:
        raise SnapshotError(f"the model has {file.tell()} bytes; at most {PAYLOAD_BYTES_MAX} fit")
    return file.getvalue()


def loads(payload: bytes, factory: Callable[[], Any] | None = None) -> Any:
    """Unpickle from the listed names, and those that the learner's `factory` declares."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise SnapshotError(
            f"the payload has {len(payload)} bytes; at most {PAYLOAD_BYTES_MAX} fit"
        )
    check_opcodes(payload)
    unpickler = _Unpickler(io.BytesIO(payload), declared(factory))
    try:
        model = unpickler.load()
    except (SnapshotError, KeyboardInterrupt, SystemExit):
        unpickler.restore_classes()
        raise
    except BaseException as error:  # a panic of Rust-backed statistics is no Exception
        unpickler.restore_classes()
        raise SnapshotError(f"the payload cannot be unpickled: {_said(error)}") from error
    changed = unpickler.restore_classes()
    if changed:
        raise SnapshotError(f"the payload changes the class {changed[0]}")
    return model


def declared(factory: Callable[[], Any] | None) -> Names:
    """The classes of the learner's own code: those in the module of its factory, and in what that
    imports.

    "Own" is what shares the first part of its name with that module; nothing of `river` or of the
    standard library.
    """
    module = getattr(factory, "__module__", None) or ""
    root = module.split(".")[0]
    if root in {"river", ""} or root in sys.stdlib_module_names:
        return {}
    found: dict[str, set[str]] = {module: set()}
    todo = [module]
    while todo:
        here = sys.modules.get(todo.pop())
        for value in list(vars(here).values()) if here else ():
            home = getattr(value, "__module__", None)
            if not isinstance(home, str) or home.split(".")[0] != root:
                continue
            if home not in found:
                found[home] = set()
                todo.append(home)
            if isinstance(value, type):
                found[home].add(value.__qualname__)
    return {home: frozenset(names) for home, names in found.items()}


class _Pickler(pickle.Pickler):
    """Writes only names that `_Unpickler` finds."""

    def __init__(self, file: io.BytesIO, own: Names) -> None:
        super().__init__(file, PICKLE_PROTOCOL)
        self._own = own

    def reducer_override(self, held: Any) -> Any:
        """Leave everything to pickle, which names classes and functions: those are looked up here
        first.
        """
        if isinstance(held, type | FunctionType | BuiltinFunctionType):
            name = held.__qualname__
            if not _listed(held.__module__, name, self._own):
                raise SnapshotError(
                    f"the model holds {held.__module__}.{name}, which no snapshot may name"
                )
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    """Finds only what is listed, and notices when a pickle changes a class that it was given."""

    def __init__(self, file: io.BytesIO, own: Names) -> None:
        super().__init__(file, fix_imports=False)
        self._own = own
        self._given: dict[type, dict[str, Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """A listed class."""
        if not _listed(module, name, self._own):
            raise SnapshotError(f"the payload names {module}.{name}, which no model of ours needs")
        found = super().find_class(module, name)
        if not isinstance(found, type):
            raise SnapshotError(f"the payload names {module}.{name}, which is not a class")
        self._given.setdefault(found, dict(vars(found)))
        return found

    def restore_classes(self) -> list[str]:
        """Undo what the pickle did to classes; the names of those that it had changed.

        The state of an object is set attribute by attribute, and nothing in pickle says that the
        object is no class.
        """
        changed = []
        for given, before in self._given.items():
            after = dict(vars(given))
            names = [n for n in before | after if before.get(n, _NONE) is not after.get(n, _NONE)]
            for name in names:
                if name in before:
                    setattr(given, name, before[name])
                else:
                    delattr(given, name)
            if names:
                changed.append(given.__qualname__)
        return changed


_NONE = object()


def _listed(module: str, name: str, own: Names) -> bool:
    return "." not in name and (name in ALLOWED.get(module, ()) or name in own.get(module, ()))


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
