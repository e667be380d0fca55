"""The page of figures: tables and plots of what benchmarks printed.

`doa bench NAME -o json > ops/bench/recorded/NAME.json` records a run, `python -m ops.bench.figures`
writes the page anew, and the table of the README with it. No figure in them is typed by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORDED, PAGE, README = HERE / "recorded", HERE / "figures.md", HERE.parents[1] / "README.md"
MILLION, REPLICAS, BUSY, DAY_S = 1_000_000, 3, 0.6, 86_400
BEGIN, END = "<!-- figures of the hop -->", "<!-- end -->"
HEAD = """# Figures

Made by `python -m ops.bench.figures` from the JSON in [`recorded`](recorded) that the commands
below printed. Both sides of a ratio come from one run on one machine, whose two cores broker,
registry and engine share. What was measured before, and why: [results](results.md).
"""


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def plot(
    title: str,
    xs: Iterable[object],
    y_axis: str,
    *series: Sequence[float],
    kind: str = "bar",
    x_axis: str = "",
) -> str:
    """A plot that Markdown's readers draw by Mermaid: one mark for each x, of each series."""
    labels = ", ".join(f'"{_cell(x)}"' for x in xs)
    x_axis = f'"{x_axis}" ' if x_axis else ""
    marks = "\n".join(f"  {kind} [{', '.join(map(str, one))}]" for one in series)
    return (
        f'```mermaid\nxychart-beta\n  title "{title}"\n  x-axis {x_axis}[{labels}]\n'
        f'  y-axis "{y_axis}" 0 --> {1.1 * max(map(max, series)):.0f}\n{marks}\n```'
    )


def hop_table(hop: dict[str, Any]) -> str:
    """Engines, the fastest first."""
    rates = hop["rates"]
    return table(
        ["engine", "guarantee", "records/s", "CPU us/record", "the broker's", "doa is"],
        [
            [
                f"**{name}**" if name == "doa" else f"{name} {hop['versions'][name]}",
                hop["guarantees"][name],
                rates[name],
                hop["cpu_us_per_record"][name],
                hop["broker_cpu_us_per_record"][name],
                f"{hop['ratios'][name]:g} x" if name in hop["ratios"] else "",
            ]
            for name in sorted(rates, key=rates.__getitem__, reverse=True)
        ],
    )


def _hop(hop: dict[str, Any]) -> list[str]:
    rates = hop["rates"]
    spread = ", ".join(f"{name} {low:,} to {high:,}" for name, (low, high) in hop["spread"].items())
    return [
        "One record of about 90 bytes in, decoded, computed, encoded, one out; one worker, one "
        f"partition. Medians of {hop['rounds']} rounds by turns; from round to round {spread}.",
        hop_table(hop),
        plot("one hop", rates, "records/s", list(rates.values())),
    ]


def _flow(flow: dict[str, Any]) -> list[str]:
    rows = [[name, rate, flow["seconds"][name]] for name, rate in flow["rates"].items()]
    memory = list(flow["worker_rss_mb"].values())
    return [
        f"The flights flow over {flow['flights']:,} flights, one worker, one partition, against a "
        "loop that calls the same functions without Kafka, Avro or lineage: "
        f"**{flow['ratios']['river_loop']:g}** of its speed.",
        table(["side", "flights/s", "seconds"], rows),
        plot("memory of the worker", flow["worker_rss_mb"], "MB", memory, kind="line"),
    ]


def _latency(latency: dict[str, Any]) -> list[str]:
    knobs = latency["idle_commit_ms"]
    names = ("p50_ms", "p99_ms", "max_ms")
    return [
        f"From an event that is produced to its prediction that a reader of committed records has, "
        f"at {latency['rate']:,} events/s for {latency['seconds']:g} s; by `idle_commit_ms`.",
        table(
            ["idle_commit_ms", "predictions", "p50 ms", "p99 ms", "max ms"],
            [[knob, one["predictions"], *(one[n] for n in names)] for knob, one in knobs.items()],
        ),
        plot(
            "latency: p50 and p99",
            knobs,
            "ms",
            *([one[name] for one in knobs.values()] for name in names[:2]),
            kind="line",
            x_axis="idle_commit_ms",
        ),
    ]


def _scale(scale: dict[str, Any]) -> list[str]:
    workers = scale["workers"]
    return [
        f"The hop over {scale['partitions']} partitions and {scale['keys']:,} keys.",
        table(
            ["workers", "records/s", "CPU us/record", "the broker's"],
            [[count, *one.values()] for count, one in workers.items()],
        ),
        plot(
            "more workers on two cores",
            workers,
            "records/s",
            [one["records_per_second"] for one in workers.values()],
            x_axis="workers",
        ),
        f"What that comes to at {MILLION:,} events/s, told in [scale](../scale.md):",
        _million(scale),
    ]


def _million(scale: dict[str, Any]) -> str:
    """The arithmetic of `ops/scale.md`, from what a record costs one worker and the broker."""
    one, disk = scale["workers"]["1"], scale["disk_bytes_per_record"]
    ours, theirs = one["cpu_us_per_record"], one["broker_cpu_us_per_record"]
    written = disk["in"] + disk["out"]
    megabytes = written * MILLION / 1e6
    return table(
        ["what", "measured, per record", f"at {MILLION:,}/s"],
        [
            ["cores of workers, all busy", f"{ours:g} us", f"{ours:.0f}"],
            [f"workers at {BUSY:.0%}", "", f"{ours / BUSY:.0f}"],
            [
                f"cores of brokers, {REPLICAS} replicas",
                f"{theirs:g} us",
                f"{REPLICAS * theirs:.0f}",
            ],
            ["written by leaders", f"{written:g} bytes", f"{megabytes:.0f} MB/s"],
            [f"written to disks, {REPLICAS} replicas", "", f"{megabytes * REPLICAS:.0f} MB/s"],
            ["kept in a day, all replicas", "", f"{megabytes * REPLICAS * DAY_S / 1e6:.1f} TB"],
        ],
    )


def _growth(growth: dict[str, Any]) -> list[str]:
    parts = [
        "CPU that a record costs, the more there is of something; without the worker's first "
        "thread, in which Faust starts. Medians of several runs by keys, and by records but for "
        "the longest. A record is moved when it is read, written as an output, or to the "
        "changelog. The bare loop remembers in a dictionary and writes as much, at least once and "
        "by fastavro; it checks nothing, traces nothing, and does not restore."
    ]
    for name, costs in growth["cpu_us_per_record"].items():
        sizes = [f"{int(size):,}" for size in costs]
        over = growth["largest_over_smallest"][name]
        what = name.replace("_", " ")
        title = f"by {what}: the largest is {over:g} x the smallest"
        parts += [plot(title, sizes, "CPU us/record", list(costs.values()), x_axis=what)]
    return parts


def _recovery(recovery: dict[str, Any]) -> list[str]:
    started, keys = recovery["start_seconds"], recovery["keys"]
    return [
        f"A worker with nothing behind it has written {started['median']:g} s after its start (at "
        f"most {started['max']:g} s). To take back a unit with so many keys:",
        table(
            ["keys", "s", "promised", "MB", "bytes/key in memory", "bytes/key in the changelog"],
            [
                [
                    int(size),
                    one["seconds"],
                    one["promised"],
                    one["rss_mb"],
                    one["rss_bytes_per_key"],
                    one["changelog_bytes_per_key"],
                ]
                for size, one in keys.items()
            ],
        ),
    ]


def _unit(unit: dict[str, Any]) -> list[str]:
    return [
        "Without Kafka, by turns in one process: the share of the other side's speed that is left. "
        "`make test` fails when one falls by a third.",
        table(["against", "ratio"], unit["ratios"].items()),
    ]


def _columns(columns: dict[str, Any]) -> list[str]:
    micros, cpu = columns["us_per_record"], columns["cpu_us_per_record"]
    ratios = columns["ratios"]
    return [
        f"{columns['records']:,} readings of about 90 bytes as a table of Arrow, against a loop of "
        "confluent-kafka and fastavro that makes a table of a list of dicts, by turns; medians of "
        f"{columns['rounds']} rounds. All columns are the fields and five coordinates; fetching is "
        "what both have to do: to take values from Kafka's client.",
        table(
            ["what is read", "us/record", "CPU us/record", "as fast as the loop"],
            [
                [n, one, cpu[n], f"{ratios[n]:g} x" if n in ratios else ""]
                for n, one in micros.items()
            ],
        ),
    ]


SECTIONS: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "hop": ("One hop, side by side", _hop),
    "flow": ("The flights flow", _flow),
    "latency": ("Latency", _latency),
    "latency_half": ("Latency at half of the maximum", _latency),
    "scale": ("Scale out", _scale),
    "growth": ("Growth", _growth),
    "recovery": ("Recovery", _recovery),
    "columns": ("A stream as a table", _columns),
    "unit": ("The runtime alone", _unit),
}


def page(recorded: Path = RECORDED) -> str:
    """The whole page, of what has been recorded."""
    parts = [HEAD.rstrip()]
    for name, (title, section) in SECTIONS.items():
        if (file := recorded / f"{name}.json").exists():
            run = json.loads(file.read_text(encoding="utf-8"))
            how = ", compiled" if run["compiled"] else ""
            told = f"{run['date']}, `{run['command']}`, Python {run['python']}{how}."
            parts += [f"## {title}", told, *section(run)]
    return "\n\n".join(parts) + "\n"


def readme(text: str, recorded: Path = RECORDED) -> str:
    """The README with today's table of the hop between its marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    hop = json.loads((recorded / "hop.json").read_text(encoding="utf-8"))
    return f"{before}{BEGIN}\n{hop_table(hop)}\n{END}{after}"


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
