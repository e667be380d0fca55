"""Transforms, folds and learners depend on their arguments alone; only a source reads the outside.

Looked for in `processors` and in every module that declares processors, with all that it imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
IMPURE = {
    "asyncio", "http", "multiprocessing", "os", "pathlib", "random", "requests", "secrets",
    "shutil", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib",
    "uuid",
}  # fmt: skip
IMPURE_CALLS = {"now", "today", "utcnow", "open", "input", "urandom", "default_rng", "read_csv"}


@cache
def modules() -> dict[str, ast.Module]:
    """Of `processors` and the examples: all that declare processors, and what they import of
    ours."""
    paths = [p for room in ("processors", "ops/examples") for p in (ROOT / room).rglob("*.py")]
    trees = {p: ast.parse(p.read_text(encoding="utf-8")) for p in sorted(paths)}
    with_source = {p.parent for p, tree in trees.items() if "source" in declares(tree)}
    named = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in trees}
    waiting = [n for n, p in named.items() if declares(trees[p]) and "test_" not in n]
    found: dict[str, ast.Module] = {}
    while waiting:
        name = waiting.pop()
        if name in named and name not in found and named[name].parent not in with_source:
            found[name] = trees[named[name]]
            waiting += [
                n.module or "" for n in ast.walk(found[name]) if isinstance(n, ast.ImportFrom)
            ]
    return found


def declares(tree: ast.Module) -> set[str]:
    """The kinds of processor that a module imports in order to declare them."""
    kinds = {"source", "transform", "fold", "Learner"}
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "streams.processor"
        for alias in node.names
        if alias.name in kinds
    }


def impure(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What would make a function depend on more than its arguments."""
    node: Any
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names if a.name.split(".")[0] in IMPURE]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in IMPURE:
            names = [str(node.module)]
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            names = [called] if called in IMPURE_CALLS else []
        elif isinstance(node, ast.Global):
            names = ["global"]
        yield from ((node.lineno, name) for name in names)


def test_modules_are_found_with_what_they_import() -> None:
    assert {
        "ops.examples.tides.processors",
        "processors.flights.features",
        "processors.flights.known",
        "processors.learning.delay_model",
        "processors.monitoring.drift",
    } <= set(modules())
    assert "processors.nycflights.replay" not in modules()


@pytest.mark.parametrize("name", modules())
def test_module_is_pure(name: str) -> None:
    assert [
        f"{name}:{line}: error: {found} is banned, use a source or an argument"
        for line, found in impure(modules()[name])
    ] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from datetime import datetime\ndatetime.now()\n", [(2, "now")]),
        ("def f():\n    import os.path\n", [(2, "os.path")]),
        ("from random import Random\n", [(1, "random")]),
        ("def f():\n    global a\n", [(2, "global")]),
        ("with open('a'):\n    pass\n", [(1, "open")]),
        ("from datetime import timedelta\nimport math\n", []),
    ],
)
def test_impurity_is_seen(text: str, expected: list[tuple[int, str]]) -> None:
    assert list(impure(ast.parse(text))) == expected
