"""The page of figures and the README's table say what was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ops.bench.figures import BEGIN, END, PAGE, README, RECORDED, SECTIONS, page, readme

HOP: dict[str, Any] = {
    "date": "2026-11-26",
    "command": "doa bench hop -o json",
    "python": "3.11.2",
    "compiled": True,
    "rounds": 3,
    "guarantees": {"doa": "exactly once", "other": "at least once"},
    "versions": {"doa": "0.1", "other": "2.0"},
    "rates": {"doa": 1_000, "other": 2_000},
    "spread": {"doa": [900, 1_100], "other": [1_900, 2_100]},
    "cpu_us_per_record": {"doa": 20.5, "other": 10.0},
    "broker_cpu_us_per_record": {"doa": 3.0, "other": 2.0},
    "ratios": {"other": 0.5},
}
TABLE = """| engine | guarantee | records/s | CPU us/record | the broker's | doa is |
| --- | --- | --- | --- | --- | --- |
| other 2.0 | at least once | 2,000 | 10.0 | 2.0 | 0.5 x |
| **doa** | exactly once | 1,000 | 20.5 | 3.0 |  |"""


def test_page_says_what_was_recorded() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m ops.bench.figures"
    text = README.read_text(encoding="utf-8")
    assert text == readme(text), "run: python -m ops.bench.figures"


def test_each_file_that_was_recorded_is_shown() -> None:
    assert {file.stem for file in RECORDED.glob("*.json")} <= set(SECTIONS)


def test_fastest_engine_comes_first_with_a_plot(tmp_path: Path) -> None:
    (tmp_path / "hop.json").write_text(json.dumps(HOP), encoding="utf-8")
    found = page(tmp_path)
    assert "2026-11-26, `doa bench hop -o json`, Python 3.11.2, compiled." in found
    assert TABLE in found
    assert found.endswith(
        "```mermaid\n"
        "xychart-beta\n"
        '  title "one hop"\n'
        '  x-axis ["doa", "other"]\n'
        '  y-axis "records/s" 0 --> 2200\n'
        "  bar [1000, 2000]\n"
        "```\n"
    )
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert readme(text, tmp_path) == f"before\n{BEGIN}\n{TABLE}\n{END}\nafter\n"
