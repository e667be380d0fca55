"""doa bench: how fast, against what."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import Any

import click

from ops.compiled import preferred
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


def _tell(
    result: dict[str, Any], output: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    if output == "json":
        command = " ".join(["doa", *sys.argv[1:]])
        head = {
            "date": str(date.today()),
            "command": command,
            "python": platform.python_version(),
            "compiled": preferred(),
        }
        print_json(head | result)
    else:
        print_table(columns, rows)


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
    rows = [[name, rate, result["seconds"][name]] for name, rate in result["rates"].items()]
    _tell(result, output, ["side", "flights/s", "seconds"], rows)
    if output == "table":
        click.echo(
            f"ratio {result['ratios']['river_loop']}, "
            f"worker at most {result['worker_rss_mb_max']:.0f} MB"
        )


@bench.command()
@click.option(
    "--peers",
    multiple=True,
    metavar="NAME",
    default=("all",),
    show_default=True,
    help="Only these, of: confluent_loop, faust, quix_at_least_once, quix_exactly_once, bytewax, "
    "kafka_streams_exactly_once.",
)
@click.option("--records", type=click.IntRange(100_000), default=1_500_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True)
@click.option("--seconds", type=click.FloatRange(1), default=10.0, show_default=True)
@OUTPUT
def hop(peers: tuple[str, ...], records: int, rounds: int, seconds: float, output: str) -> None:
    """One record in, one out, by us and by what users would pick instead, by turns.

    Peers are installed when they are first asked for. Example: doa bench hop --peers faust -o json
    """
    from ops.bench.engines import DOA, ENGINES
    from ops.bench.hops import bench_hop

    names = list(ENGINES) if "all" in peers else list(dict.fromkeys((DOA.name, *peers)))
    if unknown := set(names) - set(ENGINES):
        raise click.BadParameter(f"{', '.join(unknown)}: use {', '.join(ENGINES)}")
    with _alone():
        result = bench_hop([ENGINES[name] for name in names], records, rounds, seconds)
    columns = ["engine", "version", "guarantee", "records/s", "from", "to", "CPU us", "ours is"]
    rows = [
        [
            name,
            result["versions"][name],
            result["guarantees"][name],
            rate,
            *result["spread"][name],
            result["cpu_us_per_record"][name],
            f"{ratio} x" if (ratio := result["ratios"].get(name)) else "",
        ]
        for name, rate in result["rates"].items()
    ]
    _tell(result, output, columns, rows)


@bench.command()
@click.option("--rate", type=click.IntRange(1), default=1_000, show_default=True, help="Events/s.")
@click.option("--seconds", type=click.FloatRange(1), default=30.0, show_default=True)
@click.option(
    "--idle-commit-ms",
    "knobs",
    type=click.IntRange(0),
    multiple=True,
    default=(0, 100),
    show_default=True,
    help="Values of the setting that trades throughput for latency.",
)
@OUTPUT
@click.pass_obj
def latency(
    packages: tuple[str, ...], rate: int, seconds: float, knobs: tuple[int, ...], output: str
) -> None:
    """From an event that is produced to its prediction that can be read, at a steady rate.

    Example: doa bench latency --rate 500 --idle-commit-ms 0 --idle-commit-ms 20
    """
    from ops.bench.latency import bench_latency

    with _alone():
        result = bench_latency(checked(discover(packages)), rate, seconds, list(knobs))
    columns = ["idle_commit_ms", "predictions", "p50 ms", "p99 ms", "max ms"]
    names = ("predictions", "p50_ms", "p99_ms", "max_ms")
    rows = [[knob, *(one[n] for n in names)] for knob, one in result["idle_commit_ms"].items()]
    _tell(result, output, columns, rows)


@bench.command()
@click.option("--workers", type=click.IntRange(1, 8), multiple=True, default=(1, 2, 4))
@click.option("--records", type=click.IntRange(100_000), default=1_500_000, show_default=True)
@click.option("--seconds", type=click.FloatRange(1), default=10.0, show_default=True)
@OUTPUT
def scale(workers: tuple[int, ...], records: int, seconds: float, output: str) -> None:
    """The hop over eight partitions, by one, two and four workers of this machine.

    Example: doa bench scale --workers 1 --workers 2 -o json
    """
    from ops.bench.scale import bench_scale

    with _alone():
        result = bench_scale(records, list(workers), seconds)
    rows = [[team, *one.values()] for team, one in result["workers"].items()]
    columns = ["workers", "records/s", "CPU us per record", "CPU us of the broker"]
    _tell(result, output, columns, rows)


@bench.command()
@click.option("--records", type=click.IntRange(10_000), default=300_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True)
@OUTPUT
def columns(records: int, rounds: int, output: str) -> None:
    """A stream as a table of Arrow, against a loop of confluent-kafka and fastavro, by turns.

    Example: doa bench columns --records 100000 -o json
    """
    from ops.bench.columns import bench_columns

    with _alone():
        result = bench_columns(records, rounds)
    rows = [
        [
            name,
            micros,
            *result["spread"][name],
            f"{ratio} x" if (ratio := result["ratios"].get(name)) else "",
        ]
        for name, micros in result["us_per_record"].items()
    ]
    _tell(result, output, ["side", "us per record", "from", "to", "as fast as the loop"], rows)


@bench.command()
@OUTPUT
def unit(output: str) -> None:
    """What the runtime costs beside plain code, without Kafka: three ratios, in half a minute.

    Example: doa bench unit -o json
    """
    from ops.bench.unit import bench_unit

    result = bench_unit()
    _tell(result, output, ["ratio", "value"], list(result["ratios"].items()))


@bench.command()
@click.option(
    "--keys",
    type=click.IntRange(1_000),
    multiple=True,
    default=(1_000, 10_000, 100_000, 1_000_000),
    show_default=True,
)
@OUTPUT
@click.pass_obj
def recovery(packages: tuple[str, ...], keys: tuple[int, ...], output: str) -> None:
    """How soon a worker has written after its start, and takes back a unit with so many keys.

    Example: doa bench recovery --keys 100000 -o json
    """
    from ops.bench.recovery import bench_recovery

    with _alone():
        result = bench_recovery(packages, keys)
    columns = ["keys", "seconds", "keys/s", "promised", "MB", "bytes/key", "changelog bytes/key"]
    rows = [[size, *one.values()] for size, one in result["keys"].items()]
    _tell(result, output, columns, rows)
    if output == "table":
        started = result["start_seconds"]
        click.echo(f"a worker has written {started['median']} s after its start")


@bench.command()
@click.option("--records", type=click.IntRange(100_000), default=1_500_000, show_default=True)
@click.option(
    "--most",
    type=click.IntRange(100_000),
    default=10_000_000,
    show_default=True,
    help="Records of the longest log.",
)
@OUTPUT
def growth(records: int, most: int, output: str) -> None:
    """What a record costs, the more records, partitions, streams and keys there are.

    Takes a quarter of an hour. Example: doa bench growth --records 300000 --most 1000000 -o json
    """
    from ops.bench.growth import bench_growth

    with _alone():
        result = bench_growth(records, most)
    rows = [
        [name, size, cost]
        for name, costs in result["cpu_us_per_record"].items()
        for size, cost in costs.items()
    ]
    _tell(result, output, ["what grows", "to", "CPU us per record"], rows)
