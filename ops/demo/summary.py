"""The end of a run in figures: one object for programs, one table for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.connect import Connection
from ops.demo import watch
from ops.output import console, print_table
from schemas.flights_score import Score, Tally
from streams.topology import Topology

FLOW = "flights"
JOINS = {"planned": "planned_join/state/", "departed": "departed_join/state/"}
FIGURES = ("accuracy", "log_loss", "roc_auc", "mae")


@dataclass(frozen=True)
class Timing:
    """How long the parts took, in seconds, and the largest worker."""

    setup_seconds: float
    load_seconds: float
    process_seconds: float
    worker_rss_mb_max: float


def summarise(
    topology: Topology,
    connection: Connection,
    board: watch.ScoreBoard,
    flights: int,
    timing: Timing,
) -> dict[str, Any]:
    """Count and score what the streams hold now."""
    flow = topology.flow(FLOW)
    counts = watch.written(topology, connection)
    still_open = watch.pending(flow, connection, JOINS)
    events = {t: n for t, n in counts.items() if t.split(".")[1] == "event"}
    seconds = timing.load_seconds + timing.process_seconds
    return {
        "flights": flights,
        "horizons": {h: _horizon(h, board.merged(h), counts, still_open) for h in watch.SCORES},
        "drifts": sum(n for t, n in counts.items() if t.endswith("_drift") and ".signal." in t),
        "dead_letters": watch.dead_letters(flow, connection),
        "records_in": sum(events.values()),
        "records_out": sum(counts.values()) - sum(events.values()),
        "seconds": round(seconds, 2),
        "load_seconds": round(timing.load_seconds, 2),
        "process_seconds": round(timing.process_seconds, 2),
        "setup_seconds": round(timing.setup_seconds, 2),
        "flights_per_second": round(flights / timing.process_seconds)
        if timing.process_seconds
        else None,
        "worker_rss_mb_max": round(timing.worker_rss_mb_max, 1),
        "streams": counts,
    }


def _horizon(
    horizon: str, score: Score | None, counts: dict[str, int], still_open: dict[str, int]
) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "predictions": counts[f"flights.prediction.{horizon}"],
        "examples": counts[f"flights.example.{horizon}"],
        "censored": counts[f"flights.example.{horizon}_censored"],
        "pending": still_open[horizon],
    }
    if score is None:
        return {
            **figures,
            **dict.fromkeys(FIGURES),
            "coverage": None,
            "baselines": {},
            "frozen": None,
            "months": {},
        }
    beside = None if score.beside_frozen is None else _figures(score.beside_frozen)
    frozen = None if score.frozen is None else {**_figures(score.frozen), "continual": beside}
    return {
        **figures,
        **_figures(score.model),
        "coverage": score.coverage,
        "baselines": {name: _figures(t) for name, t in score.baselines.items()},
        "frozen": frozen,
        "months": {
            name: {
                "examples": m.examples,
                "log_loss": m.log_loss_sum / m.examples if m.examples else None,
                "continual": m.beside_log_loss_sum / m.frozen_examples
                if m.frozen_examples
                else None,
                "frozen": m.frozen_log_loss_sum / m.frozen_examples if m.frozen_examples else None,
            }
            for name, m in score.months.items()
        },
    }


def _figures(tally: Tally) -> dict[str, float | None]:
    return {name: getattr(tally, name) for name in FIGURES}


def show(summary: dict[str, Any]) -> None:
    """Print the summary for people."""
    out = console()
    rows = []
    for horizon, h in summary["horizons"].items():
        open_sum = h["examples"] + h["censored"] + h["pending"]
        mark = "=" if h["predictions"] == open_sum else "≠"
        out.print(
            f"{horizon}: {h['predictions']:,} predictions {mark} {h['examples']:,} examples + "
            f"{h['censored']:,} censored + {h['pending']:,} pending"
        )
        rows.append([horizon, "model (continual)", *(h[f] for f in FIGURES)])
        for name, figures in h["baselines"].items():
            rows.append(["", f"baseline {name}", *(figures[f] for f in FIGURES)])
        if h["frozen"] is not None:
            rows.append(
                [
                    "",
                    "from March: continual",
                    *((h["frozen"]["continual"] or {}).get(f) for f in FIGURES),
                ]
            )
            rows.append(["", "from March: frozen", *(h["frozen"][f] for f in FIGURES)])
    out.print()
    print_table(["horizon", "who says", "accuracy", "log loss", "ROC AUC", "MAE min"], rows)
    _show_months(summary)
    out.print(
        f"\n{summary['flights']:,} flights, {summary['records_in']:,} events in, "
        f"{summary['records_out']:,} records "
        f"out, {summary['dead_letters']} dead letters, {summary['drifts']} drifts"
    )
    out.print(
        f"{summary['seconds']} s ({summary['load_seconds']} s to load, "
        f"{summary['process_seconds']} s to process: "
        f"{summary['flights_per_second']} flights/s), "
        f"largest worker {summary['worker_rss_mb_max']} MB"
    )
    out.print(
        "\nnext:\n"
        "  doa tap flights.prediction.departed --from -5\n"
        "  doa tap flights.signal.planned_score --from -1 -o json\n"
        "  doa graph flights",
        markup=False,
    )


def _show_months(summary: dict[str, Any]) -> None:
    months = summary["horizons"]["planned"]["months"]
    rows = [
        [n, m["examples"], m["continual"], m["frozen"]]
        for n, m in months.items()
        if m["frozen"] is not None
    ]
    if rows:
        console().print()
        print_table(
            ["planned, by month", "examples", "continual log loss", "frozen log loss"], rows
        )
