"""Write a Java properties file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ops.whole import write_whole


def write_properties(path: Path, settings: Mapping[str, object]) -> None:
    """Write the settings, all ASCII: Kafka reads its file as Latin-1, so a path must be escaped."""
    lines = [f"{name}={_escape(str(value))}\n" for name, value in settings.items()]
    write_whole(path, "".join(lines))


def _escape(value: str) -> str:
    r"""Escape what a properties file cannot hold as it is.

    >>> _escape("/home/zoë")
    '/home/zo\\u00eb'
    """
    # Through UTF-16, because Java writes a character beyond the first 65,536 as two.
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = [int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2)]
    return "".join(chr(code) if 32 <= code < 127 else f"\\u{code:04x}" for code in codes)
