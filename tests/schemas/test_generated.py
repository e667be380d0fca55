"""Generated functions: run by Python, or found compiled."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from schemas import generated
from schemas.generated import build

LINES = ["def add(n: int) -> Any:", "    more: i64 = n + step", "    return more"]


def add(step: int) -> Any:
    return build("add", LINES, {"step": step})


def test_function_has_what_it_was_given() -> None:
    assert (add(1)(41), add(2)(40)) == (42, 42)


def test_compiled_module_of_the_same_text_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    add(1)
    name, text = next((n, t) for n, t in generated.texts.items() if "more: i64" in t)
    space: dict[str, Any] = {}
    exec(text, space)  # it is a module of its own
    assert space["make"]({"step": 1})(41) == 42
    module = ModuleType(name)
    vars(module)["make"] = lambda given: given["step"]
    monkeypatch.setitem(sys.modules, name, module)
    assert add(7) == 7
    other = [*LINES[:-1], "    return -more"]
    assert build("add", other, {"step": 1})(1) == -2
