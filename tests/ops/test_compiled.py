"""The folder of compiled modules, without a compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ops import compiled
from ops.compiled import HOT, NotCompiled, compile_codecs, compile_hot, folder, prefer, preferred


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose hot modules are empty."""
    (tmp_path / "streams").mkdir()
    for name in HOT:
        (tmp_path / "streams" / f"{name}.py").touch()
    (tmp_path / "schemas").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(compiled, "ROOT", tmp_path)
    return tmp_path


def test_hot_modules_exist() -> None:
    assert [name for name in HOT if not (compiled.ROOT / f"streams/{name}.py").exists()] == []


def test_edit_asks_for_another_folder(root: Path) -> None:
    before = folder()
    (root / "streams" / "unit.py").write_text("# edited\n", encoding="utf-8")
    assert folder() != before
    (root / "streams" / "flow.py").write_text("# not hot\n", encoding="utf-8")
    (root / "streams" / "unit.py").write_text("", encoding="utf-8")
    assert folder() == before


@pytest.mark.usefixtures("root")
def test_extensions_are_moved_to_their_folder_and_preferred(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mypyc(command: list[str], *, cwd: Path, **_: Any) -> Any:
        assert command[:3] == [sys.executable, "-m", "mypyc"]
        assert (cwd / "streams" / "unit.py").exists()
        (cwd / "shared.so").touch()
        (cwd / "streams" / "unit.so").touch()
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", mypyc)
    monkeypatch.setattr(compiled.streams, "__path__", ["source"])
    monkeypatch.setattr(sys, "path", [])
    assert not prefer()
    place = compile_hot()
    assert sorted(str(p.relative_to(place)) for p in place.glob("**/*.so")) == [
        "shared.so",
        "streams/unit.so",
    ]
    assert [p.name for p in place.parent.iterdir()] == [place.name], "nothing else is left"
    assert not preferred()
    assert prefer()
    assert preferred()
    assert compiled.streams.__path__ == [str(place / "streams"), "source"]
    assert sys.path == [str(place)]
    compiled.remove()
    assert not prefer()


def test_missing_compiler_is_told_with_what_to_do(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = SimpleNamespace(returncode=1, stderr="error: command 'cc' failed", stdout="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(NotCompiled, match=r"apt-get install gcc(.|\n)*command 'cc' failed"):
        compile_hot()
    assert list((root / ".doa" / "compiled").iterdir()) == []


def test_codecs_that_are_missing_are_made_beside_the_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[list[str]] = []

    def mypyc(command: list[str], *, cwd: Path, **_: Any) -> Any:
        wanted.append(command[3:])
        for name in command[3:]:
            assert "def make(" in (cwd / name).read_text(encoding="utf-8")
            (cwd / name).with_suffix(".abi.so").touch()
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", mypyc)
    monkeypatch.setattr(compiled, "codec_texts", lambda _: {"one": "def make(): ...", **later})
    later: dict[str, str] = {}
    place = tmp_path / "compiled"
    assert compile_codecs((), place) == 1
    later["two"] = "def make(): pass"
    assert compile_codecs((), place) == 1
    assert compile_codecs((), place) == 0
    assert wanted == [["one.py"], ["two.py"]]
    assert sorted(p.name for p in place.iterdir()) == ["one.abi.so", "two.abi.so"]


def test_every_record_of_every_flow_has_its_codec_compiled() -> None:
    packages = "processors", *compiled.BENCHED
    texts = dict(compiled.codec_texts(packages))
    assert compiled.codec_texts(packages) == texts, "they are the same whenever they are made"
    for words in ("class_PlannedFeature", "['departure_delay_minutes']", "['surprise']"):
        assert any(words in text for text in texts.values())
