"""Writing a file so that it is there whole, or not at all. What cannot be written is NotWritten."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.errors import NotWritten


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write beside another, which it replaces at the end; after an error it leaves
    nothing. A reader sees the old file or the new one. A link stays, and what it leads to is
    replaced by what the same people may read; what is no file, as a pipe, is refused.
    """
    path = Path(os.path.realpath(path))
    with _part(path) as part:
        if path.is_file():
            part.touch()
            part.chmod(path.stat().st_mode & 0o777 | stat.S_IWUSR)
        elif path.exists():
            raise NotWritten(f"{path} cannot be written: it is no file")
        yield part
        if path.is_file():
            shutil.copymode(path, part)
        part.replace(path)


def write_whole(path: Path, text: str) -> None:
    """Write a text so."""
    with whole(path) as part:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")


def write_new(path: Path, text: str) -> bool:
    """Write a text so, unless there is such a file; of several who do so at once, one does."""
    with _part(path) as part:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        try:
            os.link(part, path)
        except FileExistsError:
            return False
        return True


@contextmanager
def _part(path: Path) -> Iterator[Path]:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise NotWritten.because(path, error) from error
