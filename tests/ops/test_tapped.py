from __future__ import annotations

import csv
import io
import json
from typing import Any

import click
import pytest

from ops.tapped import printer
from streams.masking import Masks, masks_of
from streams.outline import outline
from streams.scope import UnknownName, scope_of
from streams.shown import Shown
from tests.streams.test_expression import SCOPE, VALUE, shown
from tests.streams.test_masking import ADA, CLINIC, clinic, view
from tests.system.clinic.flow import Visit

BROKEN = shown(None, error="TRUNCATED: it ends", hex="00ff")
OPEN = scope_of("other.event.thing", None, Masks())


def printed(
    capsys: pytest.CaptureFixture[str],
    output: str,
    *records: Shown,
    columns: list[str] | None = None,
    scope: Any = SCOPE,
) -> str:
    show = printer(output, scope, columns)
    for record in records:
        show(record)
    return capsys.readouterr().out


def test_table_has_the_first_fields_and_a_head(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "table", shown(VALUE), shown(VALUE), shown({"other": 1}))
    assert out.splitlines() == [
        "id\tkey\torigin\tleft_ms\tdelay\tlate\tgust\tstops\tmodel_version\tfeature",
        *["toy.event.flight[1]@17\tJFK\tJFK\t1357034400000\t15\tTrue\t-\t['ORD', 'DEN']\t7\t"
          "{'carrier': 'UA', 'weather': {'wind': 7}}"] * 2,
        "id\tkey\tother",
        "toy.event.flight[1]@17\tJFK\t1",
    ]  # fmt: skip


def test_table_tells_why_a_record_has_no_fields(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "table", BROKEN, shown(None), shown(None), columns=["delay"])
    assert out.splitlines() == [
        "toy.event.flight[1]@17\tJFK\t0x00ff\t(TRUNCATED: it ends)",
        "toy.event.flight[1]@17\tJFK\t(tombstone)",
        "toy.event.flight[1]@17\tJFK\t(tombstone)",
    ]
    out = printed(capsys, "table", BROKEN, columns=["offset", "delay"])
    assert out.splitlines() == ["toy.event.flight[1]@17\tJFK\t0x00ff\t(TRUNCATED: it ends)"]
    out = printed(capsys, "table", BROKEN, columns=["headers.trace.id", "offset"])
    assert out.splitlines()[1:] == ["toy.event.flight[1]@17\tJFK\tab\t17"]


def test_no_cell_commands_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "table", shown({"a": "\x1b[2J"}, key="\x1b]0;x\x07\n"), scope=OPEN)
    assert out.splitlines()[1] == "toy.event.flight[1]@17\t\\x1b]0;x\\x07\\x0a\t\\x1b[2J"


def test_csv_has_one_head_and_the_fields_of_records_within(
    capsys: pytest.CaptureFixture[str],
) -> None:
    quoted = shown(VALUE | {"origin": 'a "b",\n'})
    lines = list(csv.reader(io.StringIO(printed(capsys, "csv", quoted, BROKEN))))
    assert lines == [
        [
            "id", "key", "origin", "left_ms", "delay", "late", "gust", "stops", "model_version",
            "feature.carrier", "feature.weather.wind", "error", "hex",
        ],
        [
            "toy.event.flight[1]@17", "JFK", 'a "b",\n', "1357034400000", "15.0", "true", "",
            '["ORD", "DEN"]', "7", "UA", "7", "", "",
        ],
        ["toy.event.flight[1]@17", "JFK", *[""] * 9, "TRUNCATED: it ends", "00ff"],
    ]  # fmt: skip


def test_csv_of_an_undeclared_topic_wants_columns(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.UsageError, match="name the columns of its CSV"):
        printer("csv", OPEN, None)
    out = printed(capsys, "csv", shown(VALUE), columns=["delay", "record.offset"], scope=OPEN)
    assert out.splitlines() == [
        "id,key,delay,record.offset,error,hex",
        "toy.event.flight[1]@17,JFK,15.0,17,,",
    ]


def test_json_holds_all_of_a_record_or_the_fields_that_are_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, broken = map(json.loads, printed(capsys, "json", shown(VALUE), BROKEN).splitlines())
    assert whole["value"] == VALUE
    assert (broken["value"], broken["error"], broken["hex"]) == (None, "TRUNCATED: it ends", "00ff")
    columns = ["delay", "feature.carrier", "key"]
    [part] = map(json.loads, printed(capsys, "json", shown(VALUE), columns=columns).splitlines())
    assert part == {**whole, "value": {"delay": 15.0, "feature.carrier": "UA"}}


def test_what_json_has_no_word_for_is_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    odd = {"delay": float("nan"), "gust": float("-inf"), "stops": [float("inf"), b"\xff"]}
    out = printed(capsys, "json", shown(VALUE | odd), columns=list(odd))
    [part] = [json.loads(line, parse_constant=pytest.fail) for line in out.splitlines()]
    assert part["value"] == {"delay": "nan", "gust": "-inf", "stops": ["inf", "ff"]}
    out = printed(capsys, "csv", shown(VALUE | odd), columns=list(odd))
    assert list(csv.reader(io.StringIO(out)))[1][2:5] == ["nan", "-inf", '["inf", "ff"]']


@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_unknown_column_is_refused_before_anything_is_printed(output: str) -> None:
    for columns in (["delay", "nothing"], [""]):
        with pytest.raises(UnknownName):
            printer(output, SCOPE, columns)


@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_no_output_shows_what_is_hidden(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    ran = clinic(ADA)
    ran.publish_raw("clinic.event.visit", b"ada-1815", b"ada-1815")
    scope = scope_of("clinic.event.visit", Visit, masks_of(outline(CLINIC)))
    records = [view(ran).show("clinic.event.visit", 0, s) for s in ran.stored("clinic.event.visit")]
    out = printed(capsys, output, *records, scope=scope)
    assert out.count(json.dumps("‹personal›")[1:-1] if output == "json" else "‹personal›") > 3
    assert "ada" not in out
    assert b"ada".hex() not in out
