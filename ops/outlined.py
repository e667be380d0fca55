"""The outline of the flows at hand: as it was kept beside the stack, if no line of their code has
changed since; else they are loaded.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from ops.whole import write_whole
from streams.errors import NotWritten
from streams.outline import Outline, outline, outline_of
from streams.topology import code_version, discover

FILE = "outline.json"


def outlined(packages: tuple[str, ...], home: Path) -> Outline:
    """The outline of the flows of some packages. TopologyError as from `discover`."""
    path = home / FILE
    state = {"packages": list(packages), "code_version": code_version(packages)}
    kept = _kept(path, state)
    if kept is None:
        kept = outline(discover(packages))
        with suppress(NotWritten, OSError):  # then it is loaded the next time, too
            if home.is_dir():
                write_whole(path, json.dumps({**state, "outline": kept.as_data()}))
    return kept


def _kept(path: Path, state: dict[str, Any]) -> Outline | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if {name: data[name] for name in state} == state:
            return outline_of(data["outline"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError):
        return None  # never written, cut short, or of another time
    return None
