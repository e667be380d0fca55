"""What is to be changed: a setting, the processors of a module, or the code of a branch."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import resolve_name
from operator import attrgetter
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from streams.errors import StreamsError
from streams.topology import Flow, discover, processors_in, with_processors
from streams.validation import checked


class BadChange(StreamsError):
    """A change that cannot be made."""


@dataclass(frozen=True)
class Setting:
    """Another value of a constant: `processors.learning.delay_model.PROBABILITY_RATE=0.02`."""

    module: str
    name: str
    value: Any


@dataclass(frozen=True)
class Module:
    """A module whose processors take the place of those of the same name."""

    name: str


@dataclass(frozen=True)
class Branch:
    """A commit, by any of its names in git."""

    name: str


Change = Setting | Module | Branch


def change_of(text: str) -> Change:
    """Read a change; BadChange names the three forms.

    >>> change_of("processors.learning.delay_model.PROBABILITY_RATE=0.02")
    Setting(module='processors.learning.delay_model', name='PROBABILITY_RATE', value=0.02)
    >>> change_of("ops.examples.tides")
    Module(name='ops.examples.tides')
    >>> change_of("HEAD~1")
    Branch(name='HEAD~1')
    """
    if "=" in text:
        return _setting(text)
    if text.startswith("-") or not text.strip():
        raise BadChange(
            f"{text!r} is no change: MODULE.NAME=VALUE, a module that holds processors, or a branch"
        )
    return Module(text) if _is_module(text) else Branch(text)


def changed(packages: tuple[str, ...], named: str | None, change: Setting | Module | None) -> Flow:
    """A flow with a change made to it: the named one, or the only one that reads streams.
    BadChange, or TopologyError where the flow cannot work with it.
    """
    if isinstance(change, Setting):
        _set(change, packages)
    with _loading("the code at hand"):
        topology = discover(packages)
    able = [flow.name for flow in topology.flows.values() if flow.steps]
    if named is None and len(able) != 1:
        raise BadChange(f"say which flow is changed, with --flow: {', '.join(able)}")
    flow = topology.flow(named or able[0])
    if not flow.steps:
        raise BadChange(f"{flow.name} reads no stream, so there is no input that it took")
    if isinstance(change, Module):
        held = processors_in([_imported(change.name)])
        if not [p for p in held if p not in flow.processors]:
            raise BadChange(f"{change.name} holds no processor but those of {flow.name}")
        flow = with_processors(flow, held)
        checked(replace(topology, flows={**topology.flows, flow.name: flow}))
    return flow


def _setting(text: str) -> Setting:
    path, _, literal = text.partition("=")
    module, _, name = path.strip().rpartition(".")
    try:
        value = json.loads(literal, parse_constant=_no_number)
    except ValueError as error:
        raise BadChange(f"{text!r}: {literal!r} is no JSON; a text wants quotes") from error
    if not module or not name.isidentifier():
        raise BadChange(f"{text!r}: MODULE.NAME=VALUE was expected")
    return Setting(module, name, value)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _is_module(text: str) -> bool:
    """Whether there is such a module; the packages that hold it are imported for that."""
    with _loading(text):
        try:
            return importlib.util.find_spec(text) is not None
        except (ImportError, ValueError):
            return False


def _imported(name: str) -> ModuleType:
    with _loading(name):
        return importlib.import_module(name)


@contextmanager
def _loading(name: str) -> Iterator[None]:
    """Say of whatever code does when it loads that it cannot be imported."""
    try:
        yield
    except StreamsError:
        raise
    except Exception as error:
        raise _broken(name, error) from error


def _broken(name: str, error: Exception) -> BadChange:
    """What is wrong, and the line of code that was reached; a syntax error says itself where."""
    told = f"{name} cannot be imported: {type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        return BadChange(told)
    reached = extract_tb(error.__traceback__)[-1]
    return BadChange(f"{told} ({Path(reached.filename).name}, line {reached.lineno})")


def _set(change: Setting, packages: tuple[str, ...]) -> None:
    """Set a constant of a module of processors, before anything reads it."""
    where = f"{change.module}.{change.name}"
    if not _within(change.module, packages):
        raise BadChange(f"{where}: only constants of {', '.join(packages)} can be set")
    if not _is_module(change.module):
        raise BadChange(f"{where}: there is no module {change.module}")
    module = _imported(change.module)
    if change.name not in vars(module):
        known = ", ".join(n for n in vars(module) if n.isupper())
        raise BadChange(f"{where}: {change.module} has no {change.name}; it has: {known or 'none'}")
    before = vars(module)[change.name]
    value = float(change.value) if _is_number(before, change.value) else change.value
    if type(value) is not type(before):
        raise BadChange(f"{where} is {before!r}; {value!r} is of another kind")
    if change.name in _read_when_loaded(module):
        raise BadChange(f"{where} is read when its module loads; change it in a branch")
    if taken := _taken_by(change.name, module, packages):
        raise BadChange(f"{where} was imported by {taken}, which keeps it; change it in a branch")
    setattr(module, change.name, value)


def _within(name: str, packages: tuple[str, ...]) -> bool:
    """Whether a module is one of some packages."""
    return f"{name}.".startswith(tuple(f"{package}." for package in packages))


def _taken_by(name: str, module: ModuleType, packages: tuple[str, ...]) -> str | None:
    """A module that was loaded before, and keeps a constant of another."""
    for other, loaded in list(sys.modules.items()):
        ours = _within(other, packages) and loaded not in (None, module)
        if ours and any(_takes(node, name, module, loaded) for node in _when_loaded(loaded)):
            return other
    return None


def _takes(node: ast.AST, name: str, module: ModuleType, loaded: ModuleType) -> bool:
    """Whether code of a loaded module imports a constant, or reads it as that of its module."""
    if isinstance(node, ast.ImportFrom):
        source = "." * node.level + (node.module or "")
        taken = {alias.name for alias in node.names} & {name, "*"}
        return bool(taken) and resolve_name(source, loaded.__package__) == module.__name__
    if not isinstance(node, ast.Attribute) or node.attr != name:
        return False
    with suppress(AttributeError):
        return attrgetter(ast.unparse(node.value))(loaded) is module
    return False


def _is_number(before: Any, value: Any) -> bool:
    return isinstance(before, float) and isinstance(value, int) and not isinstance(value, bool)


def _read_when_loaded(module: ModuleType) -> set[str]:
    """The names that a module reads outside the bodies of its functions: to set one of them
    afterwards changes nothing, or half.
    """
    return {
        node.id
        for node in _when_loaded(module)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _when_loaded(module: ModuleType) -> Iterator[ast.AST]:
    """What runs when a module loads; nothing of one that is empty, or has no source."""
    try:
        source = inspect.getsource(module)
    except (OSError, TypeError):
        return iter(())
    return _outside_bodies(ast.parse(source))


def _outside_bodies(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when a module loads; annotations do not."""
    yield node
    for name, held in ast.iter_fields(node):
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if (function and name in ("body", "returns")) or name == "annotation":
            continue
        for child in held if isinstance(held, list) else [held]:
            if isinstance(child, ast.AST):
                yield from _outside_bodies(child)
