"""The one JSON document of a command can be read by any program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.output import print_json


def test_what_json_has_no_word_for_is_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"slime": float("nan"), "sizes": [float("inf"), 0.5], "photo": b"\xff"}
    print_json({"nodes": {"a": {"value": value, "parents": ("b",)}}, "path": Path("c")})
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told == {
        "nodes": {
            "a": {"value": {"slime": "nan", "sizes": ["inf", 0.5], "photo": "ff"}, "parents": ["b"]}
        },
        "path": "c",
    }
