"""Functions whose text is generated, one for each record class: Python runs it, or the C that
`doa compile` has made of the same, or of a text that is meant for the compiler.

A text is the same whenever its class is; what else a function needs is given to it by name. So what
was compiled is found again by the digest of its text, and a class that was edited since is run by
Python.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

PREFIX = "doa_generated_"
PREAMBLE = "from typing import Any\nfrom mypy_extensions import i64\n"  # of a module

texts: dict[str, str] = {}  # all that were met in this process, by the name of their module


def build(
    name: str, lines: Sequence[str], given: dict[str, Any], native: Sequence[str] | None = None
) -> Any:
    """The function `name` that these lines define, which may use what is given. The compiler reads
    `native` in their place, if there is any; those may also use `schemas.wire`.

    The lines come from our own schemas and hold nothing that a user typed. The type of a local
    variable says something to the compiler alone.
    """
    preamble = _wire() if native else PREAMBLE
    text = f"{preamble}\n\n{_text(name, native or lines, given)}"
    module = PREFIX + hashlib.sha256(text.encode()).hexdigest()[:16]
    texts[module] = text
    try:
        make = import_module(module).make
    except ImportError:
        space: dict[str, Any] = {"Any": Any, "i64": int}
        exec(_text(name, lines, given), space)
        make = space["make"]
    return make(given)


@cache
def _wire() -> str:
    """The preamble of a module that is meant for the compiler alone."""
    return (Path(__file__).parent / "wire.py").read_text("utf-8")


def indented(lines: Iterable[str]) -> list[str]:
    """Lines of a block."""
    return [f"    {line}" for line in lines]


def _text(name: str, lines: Sequence[str], given: dict[str, Any]) -> str:
    body = [f"{one}: {_TYPES.get(type(v), 'Any')} = given[{one!r}]" for one, v in given.items()]
    head = "def make(given: dict[str, Any]) -> Any:"
    return "\n    ".join([head, *body, *lines, f"return {name}"])


_TYPES: dict[type, str] = {bytes: "bytes", dict: "dict[Any, Any]", set: "set[Any]"}
