"""doa bench: how fast, against what."""

from __future__ import annotations

from contextlib import AbstractContextManager

import click

from ops.connect import home_of
from ops.output import OUTPUT, print_json, print_table
from ops.stack.home import held
from streams.settings import Settings
from streams.topology import discover
from streams.validation import checked

YEAR = 336_776


def _alone() -> AbstractContextManager[None]:
    """Two at once would write the same topics, and measure each other."""
    return held(home_of(Settings()) / "bench.lock", "running a benchmark of this checkout")


@click.group()
def bench() -> None:
    """Measure against a reference, both sides in one run.

    Example: doa bench flow -o json
    """


@bench.command()
@click.option("--flights", type=click.IntRange(1_000, YEAR), default=YEAR, show_default=True)
@OUTPUT
@click.pass_obj
def flow(packages: tuple[str, ...], flights: int, output: str) -> None:
    """The flights flow through Kafka, against a bare loop that calls the same functions.

    Example: doa bench flow --flights 90000 -o json
    """
    from ops.bench.flow import bench_flow

    with _alone():
        result = bench_flow(checked(discover(packages)), flights)
    if output == "json":
        print_json(result)
    else:
        rows = [[name, rate, result["seconds"][name]] for name, rate in result["rates"].items()]
        print_table(["side", "flights/s", "seconds"], rows)
        click.echo(
            f"ratio {result['ratios']['river_loop']}, "
            f"worker at most {result['worker_rss_mb_max']:.0f} MB"
        )


@bench.command()
@click.option("--keys", type=click.IntRange(1_000), default=1_000_000, show_default=True)
@OUTPUT
@click.pass_obj
def restore(packages: tuple[str, ...], keys: int, output: str) -> None:
    """A unit with so many keys, brought back from its changelog on the real broker.

    Example: doa bench restore --keys 100000 -o json
    """
    from ops.bench.restore import bench_restore

    with _alone():
        result = bench_restore(checked(discover(packages)), keys)
    if output == "json":
        print_json(result)
    else:
        print_table(["figure", "value"], [[name, str(value)] for name, value in result.items()])
