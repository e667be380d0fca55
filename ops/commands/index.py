"""doa index: the index of lineage that `doa trace --down` reads."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import click

from ops.connect import Connection, connect
from ops.lineage_file import remove
from ops.lineage_index import LineageIndex, path_of
from ops.output import OUTPUT, print_json, progress_bars, say
from streams.errors import NotWritten, StreamsError
from streams.topology import Topology, discover


class IndexSpoilt(StreamsError):
    """The file of the index is damaged, or somebody else has it for too long."""


@click.command("index")
@click.option("--rebuild", is_flag=True, help="Throw away what is there, and read everything.")
@OUTPUT
@click.pass_obj
def index_command(packages: tuple[str, ...], rebuild: bool, output: str) -> None:
    """Read the lineage of what was written since the last time into the index that
    `doa trace --down` reads. It does so itself; this is for doing it beforehand, or anew: the index
    is a cache of what the streams say.

    Example: doa index --rebuild
    """
    connection = connect()
    path = path_of(connection)
    if rebuild:
        remove(path)
    with _opened(connection, discover(packages), path) as index:
        records = _bring_up_to_date(index)
    size = path.stat().st_size
    if output == "json":
        print_json({"records": records, "path": str(path), "bytes": size})
    else:
        click.echo(f"{records:,} records read; {path} has {size / 1e6:,.1f} MB")


@contextmanager
def up_to_date(connection: Connection, topology: Topology) -> Iterator[LineageIndex]:
    """The index, once it has read what is new; where none can be kept, one for this once."""
    with ExitStack() as stack:
        try:
            opened = _opened(connection, topology, path_of(connection))
            index = stack.enter_context(opened)
        except NotWritten as error:
            say(f"{error}; so all lineage is read for this once")
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="doa-lineage-"))
            path = Path(folder) / path_of(connection).name
            index = stack.enter_context(_opened(connection, topology, path))
        _bring_up_to_date(index)
        yield index


@contextmanager
def _opened(connection: Connection, topology: Topology, path: Path) -> Iterator[LineageIndex]:
    try:
        with closing(LineageIndex(connection, topology, path)) as index:
            yield index
    except sqlite3.Error as error:
        raise IndexSpoilt(
            f"{path}: {error}; if nobody else is at it, run: doa index --rebuild"
        ) from error


def _bring_up_to_date(index: LineageIndex) -> int:
    """Read what is new, with a bar on a terminal; how many records."""
    with progress_bars() as progress:
        bar = progress.add_task("reading lineage", total=None)
        return index.update(lambda done, total: progress.update(bar, completed=done, total=total))
