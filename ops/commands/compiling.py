"""doa compile: the hot path as C."""

from __future__ import annotations

import time

import click

from ops import compiled
from ops.output import OUTPUT, print_json, say


@click.command()
@click.option("--remove", is_flag=True, help="Go back to the plain source.")
@OUTPUT
def compile_command(remove: bool, output: str) -> None:
    """Make the hot path faster, once a C compiler is there; an edit of it undoes that.

    What workers write stays the same, to the byte. Example: doa compile
    """
    began = time.monotonic()
    if remove:
        compiled.remove()
    elif not compiled.folder().is_dir():
        say(f"compiling {len(compiled.HOT)} modules, which takes about a minute")
        compiled.compile_hot()
    made = compiled.folder().is_dir()
    if output == "json":
        print_json({"compiled": made, "seconds": round(time.monotonic() - began, 1)})
    else:
        click.echo("compiled; workers that start now use it" if made else "not compiled")
