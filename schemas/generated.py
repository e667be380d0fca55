"""Functions whose text is generated, one for each record class: Python runs it, or the C that
`doa compile` has made of the same text.

A text is the same whenever its class is; what else a function needs is given to it by name. So it
is found again by its digest, and a class that was edited since is run by Python.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import import_module
from typing import Any

PREFIX = "doa_generated_"
PREAMBLE = "from typing import Any\nfrom mypy_extensions import i64\n\n\n"  # of a module

texts: dict[str, str] = {}  # all that were met in this process, by the name of their module


def build(name: str, lines: Sequence[str], given: dict[str, Any]) -> Any:
    """The function `name` that these lines define, which may use what is given.

    The lines come from our own schemas and hold nothing that a user typed. `Any` and `i64` are
    known to them; the type of a local variable says something to the compiler alone.
    """
    body = [f"{one}: {_TYPES.get(type(v), 'Any')} = given[{one!r}]" for one, v in given.items()]
    body += [*lines, f"return {name}"]
    text = "\n    ".join(["def make(given: dict[str, Any]) -> Any:", *body])
    module = PREFIX + hashlib.sha256((PREAMBLE + text).encode()).hexdigest()[:16]
    texts[module] = PREAMBLE + text
    try:
        make = import_module(module).make
    except ImportError:
        space: dict[str, Any] = {"Any": Any, "i64": int}
        exec(text, space)
        make = space["make"]
    return make(given)


_TYPES = {bytes: "bytes"}
