from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops import outlined as module
from ops.examples.tides.records import Reading
from ops.outlined import FILE, outlined
from streams.errors import TopologyError
from streams.outline import LearnerOutline, outline
from streams.topology import discover

TIDES = ("ops.examples",)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The packages that were loaded, one after the other."""
    asked: list[tuple[str, ...]] = []

    def load(packages: tuple[str, ...]) -> object:
        asked.append(packages)
        return discover(packages)

    monkeypatch.setattr(module, "discover", load)
    return asked


def test_outline_is_that_of_the_flows_and_is_kept(
    tmp_path: Path, loads: list[tuple[str, ...]]
) -> None:
    first, second = outlined(TIDES, tmp_path), outlined(TIDES, tmp_path)
    assert first == second == outline(discover(TIDES))
    assert first.records["tides.event.reading"] is Reading
    assert loads == [TIDES]


def test_outline_names_what_learners_learn_from_until_when_and_answer() -> None:
    frozen = LearnerOutline(
        "departed_frozen",
        "flights.example.departed",
        "answered_ms",
        1362114000000,
        "flights.feature.departed",
    )
    assert frozen in outline(discover()).learners


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"packages": ["ops.examples"]}', '{"code_version": 7}']
)
def test_what_was_kept_and_cannot_be_read_is_made_anew(
    tmp_path: Path, loads: list[tuple[str, ...]], text: str
) -> None:
    (tmp_path / FILE).write_text(text)
    assert "tides.event.reading" in outlined(TIDES, tmp_path).records
    assert "tides.event.reading" in outlined(TIDES, tmp_path).records
    assert loads == [TIDES]


def test_outline_of_other_code_or_packages_is_not_used(
    tmp_path: Path, loads: list[tuple[str, ...]]
) -> None:
    outlined(TIDES, tmp_path)
    kept = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**kept, "code_version": "00000000"}))
    outlined(TIDES, tmp_path)
    (tmp_path / FILE).write_text(json.dumps({**kept, "packages": ["processors"]}))
    outlined(TIDES, tmp_path)
    assert len(loads) == 3


def test_home_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    outlined(TIDES, tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_package_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match="there is no package 'nowhere'"):
        outlined(("nowhere",), tmp_path)


def test_kept_class_that_is_gone_is_looked_for_anew(
    tmp_path: Path, loads: list[tuple[str, ...]]
) -> None:
    outlined(TIDES, tmp_path)
    text = (tmp_path / FILE).read_text()
    for other in ('"Gone"', '"Gone.Too"'):
        (tmp_path / FILE).write_text(text.replace('"Reading"', other))
        outlined(TIDES, tmp_path)
    (tmp_path / FILE).write_text(text.replace("tides.records", "tides.nowhere"))
    outlined(TIDES, tmp_path)
    assert len(loads) == 4
