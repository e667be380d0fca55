"""doa compile: the hot path as C."""

from __future__ import annotations

import time

import click

from ops import compiled
from ops.output import OUTPUT, print_json, say


@click.command()
@click.option("--remove", is_flag=True, help="Go back to the plain source.")
@OUTPUT
@click.pass_obj
def compile_command(packages: tuple[str, ...], remove: bool, output: str) -> None:
    """Make the hot path faster, once a C compiler is there; an edit of it undoes that.

    The codecs of all record classes are compiled as well; that of a class that is edited later runs
    as Python, until this is run again. What workers write stays the same, to the byte.
    Example: doa compile
    """
    began, codecs = time.monotonic(), 0
    if remove:
        compiled.remove()
    else:
        say("compiling what is not yet compiled; the first time takes about two minutes")
        compiled.compile_hot()
        codecs = compiled.compile_codecs((*packages, *compiled.BENCHED))
    made = compiled.folder().is_dir()
    if output == "json":
        seconds = round(time.monotonic() - began, 1)
        print_json({"compiled": made, "codecs": codecs, "seconds": seconds})
    else:
        click.echo("compiled; workers that start now use it" if made else "not compiled")
