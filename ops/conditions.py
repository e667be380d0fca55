"""The option of the commands that take some records of a stream and leave others."""

from __future__ import annotations

import click

WHERE = click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="EXPRESSION",
    help="Only records for which this holds, in CEL; all must, if several.",
)
