"""What can be changed for a backtest, and what is said where it cannot be."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from ops.backtest import branch
from ops.backtest.branch import run_at
from ops.backtest.change import BadChange, Module, Setting, change_of, changed
from ops.commands.backtest import again
from streams.errors import TopologyError
from tests.streams.toy import sort

RATE = "processors.learning.delay_model.PROBABILITY_RATE"


@pytest.fixture
def module() -> Iterator[ModuleType]:
    """A module of somebody's, without processors."""
    made = ModuleType("somebodys")
    made.__spec__ = ModuleSpec("somebodys", None)
    sys.modules["somebodys"] = made
    yield made
    del sys.modules["somebodys"]


def test_setting_is_in_force_when_the_model_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    from processors.learning import delay_model

    monkeypatch.setattr(delay_model, "PROBABILITY_RATE", delay_model.PROBABILITY_RATE)
    change = change_of(f"{RATE}=1")
    assert change == Setting("processors.learning.delay_model", "PROBABILITY_RATE", 1)
    assert isinstance(change, Setting)
    flow = changed(("processors",), "flights", change)
    model = next(p for p in flow.processors if p.name == "planned").model()  # type: ignore[union-attr]
    assert model.probability.optimizer.lr.learning_rate == 1.0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (f"{RATE}=fast", "'fast' is no JSON"),
        (f'{RATE}="fast"', "is of another kind"),
        (f"{RATE}=true", "is of another kind"),
        (f"{RATE}=NaN", "'NaN' is no JSON"),
        (f"{RATE}=-Infinity", "'-Infinity' is no JSON"),
        ("processors.learning.delay_model.SPEED=1", "it has: PROBABILITY_RATE"),
        ("processors.learning.nothing.SPEED=1", "no module processors.learning.nothing"),
        ("os.path.SPEED=1", "only constants of processors can be set"),
        ("PROBABILITY_RATE=1", "MODULE.NAME=VALUE was expected"),
        ("processors.flights.LOSSES=1", "is of another kind"),
        ("processors.flights.inputs.AIRCRAFT_MS=true", "is of another kind"),
        ("processors.flights.inputs.LEFT_MINUTES_MIN=-5", "change it in a branch"),
        ("--upload-pack=x", "no JSON"),
    ],
)
def test_setting_that_cannot_be_made_is_refused(text: str, error: str) -> None:
    with pytest.raises(BadChange, match=error):
        changed(("processors",), None, change_of(text))  # type: ignore[arg-type]


def test_setting_that_another_module_has_imported_already_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from processors.flights import planned_frozen

    name = "processors.flights.serve.FROZEN_FROM_MS"
    monkeypatch.setitem(sys.modules, "processors.flights.planned_frozen", planned_frozen)
    with pytest.raises(BadChange, match=f"{name} was imported by processors.flights.[a-z]+_frozen"):
        changed(("processors",), None, change_of(f"{name}=1"))  # type: ignore[arg-type]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package, and another whose name begins as its own does."""
    texts = {
        "mine/a.py": "LIMIT = 10\nFAST = True\nRATE = 0.5\nSPEED = 0.25\nSTEP = 2\nLATE = 3\n",
        "mine/b.py": "LIMIT = 10\nFAST = True\nfrom mine.a import RATE as R\n"
        "from . import a\nSPEED = a.SPEED\ndef late():\n    from mine.a import LATE\n",
        "mine/c.py": "from .a import *\n_ = None\n",
        "miner/__init__.py": "from mine.a import LIMIT\n",
    }
    for name, text in {"mine/__init__.py": "", **texts}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("mine.a", "mine.b", "miner"):
        importlib.import_module(name)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in ("mine", "miner")]:
        del sys.modules[name]


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(("text", "value"), [("LIMIT=7", 7), ("FAST=false", False), ("LATE=4", 4)])
def test_setting_that_another_module_has_only_the_like_of_is_made(text: str, value: object) -> None:
    change = change_of(f"mine.a.{text}")
    assert changed(("mine", "ops.examples"), "tides", change).name == "tides"  # type: ignore[arg-type]
    assert vars(sys.modules["mine.a"])[text.split("=", maxsplit=1)[0]] is value


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(
    ("text", "also", "by"),
    [("RATE=1", None, "mine.b"), ("SPEED=1", None, "mine.b"), ("STEP=1", "mine.c", "mine.c")],
)
def test_setting_that_another_module_keeps_is_refused(text: str, also: str | None, by: str) -> None:
    if also:
        importlib.import_module(also)
    with pytest.raises(BadChange, match=f"was imported by {by}, which keeps it"):
        changed(("mine",), None, change_of(f"mine.a.{text}"))  # type: ignore[arg-type]


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that cannot be imported, and one with a module that cannot."""
    refuses = "from streams.errors import TopologyError\nraise TopologyError('no such stream')"
    for name, text in (("torn", "1 / 0"), ("whole", ""), ("wrong", refuses)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    (tmp_path / "whole" / "part.py").write_text("def (")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("torn", r"torn cannot be imported: ZeroDivisionError: .*\(__init__.py, line 1\)"),
        ("torn.part", "torn.part cannot be imported: ZeroDivisionError"),
        ("whole.part", r"whole.part cannot be imported: SyntaxError: .*part.py, line 1"),
        ("whole.part.SPEED=1", "whole.part cannot be imported: SyntaxError"),
    ],
)
def test_module_that_cannot_be_imported_is_told(text: str, error: str) -> None:
    packages = ("whole",) if "=" in text else ("processors",)
    with pytest.raises(BadChange, match=error):
        changed(packages, "flights", change_of(text))  # type: ignore[arg-type]


@pytest.mark.usefixtures("broken")
def test_declaration_that_is_wrong_says_so_itself() -> None:
    with pytest.raises(TopologyError, match=r"^no such stream$"):
        change_of("wrong.part")


@pytest.mark.usefixtures("broken")
def test_code_that_cannot_be_imported_is_told() -> None:
    with pytest.raises(BadChange, match="the code at hand cannot be imported: SyntaxError: "):
        changed(("processors", "whole"), "flights", None)


def test_module_takes_the_place_of_a_processor_of_the_same_name(module: ModuleType) -> None:
    from processors.flights.planned import planned

    module.other = replace(planned, doc="Another.")  # type: ignore[attr-defined]
    flow = changed(("processors",), None, Module("somebodys"))
    assert [p.doc for p in flow.processors if p.name == "planned"] == ["Another."]
    assert len(flow.processors) == len(changed(("processors",), None, None).processors)


def test_module_without_a_change_is_refused(module: ModuleType) -> None:
    from processors.flights.planned import planned

    module.planned = planned  # type: ignore[attr-defined]
    with pytest.raises(BadChange, match="no processor but those of flights"):
        changed(("processors",), None, Module("somebodys"))


def test_module_that_the_flow_cannot_work_with_is_refused(module: ModuleType) -> None:
    module.sort = sort  # type: ignore[attr-defined]
    with pytest.raises(TopologyError):
        changed(("processors",), None, Module("somebodys"))


def test_flow_has_to_be_named_where_there_are_several() -> None:
    packages = ("processors", "ops.examples")
    with pytest.raises(BadChange, match="--flow: flights, tides"):
        changed(packages, None, None)
    assert changed(packages, "tides", None).name == "tides"


def test_flow_that_only_brings_in_events_is_refused() -> None:
    with pytest.raises(BadChange, match="nycflights reads no stream"):
        changed(("processors",), "nycflights", None)


@pytest.mark.parametrize("text", ["", "-x", " "])
def test_text_that_is_no_change_is_refused(text: str) -> None:
    with pytest.raises(BadChange, match="is no change"):
        change_of(text)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a commit that has no backtest, one with a backtest that masks nothing, and
    one whose command writes what it got.
    """
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "--quiet")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "none")
    (root / "ops" / "backtest").mkdir(parents=True)
    (root / "ops" / "backtest" / "__init__.py").write_text("")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "unmasked")
    (root / "ops" / "backtest" / "seen.py").write_text("")
    (root / "ops" / "__main__.py").write_text(
        "import os, pathlib, sys\n"
        "home = pathlib.Path(os.environ['DOA_HOME'])\n"
        "(home / 'got').write_text(' '.join([os.getcwd(), *sys.argv[1:]]))\n"
        "sys.exit(7)\n"
    )
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "one")
    return root


def git(root: Path, *arguments: str) -> str:
    names = ("-c", "user.name=somebody", "-c", "user.email=nobody@example.org")
    done = subprocess.run(
        ["git", *names, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout


def test_branch_runs_in_a_worktree_that_is_gone_afterwards(
    repository: Path, tmp_path: Path
) -> None:
    assert run_at("HEAD", ["backtest", "--since", "0"], tmp_path, repository) == 7
    folder, *arguments = (tmp_path / "got").read_text().split()
    assert (folder != str(repository), Path(folder).exists()) == (True, False)
    assert arguments == ["backtest", "--since", "0"]
    assert len(git(repository, "worktree", "list").splitlines()) == 1


@pytest.mark.parametrize(
    ("commit", "error"),
    [
        ("nowhere", "no commit or branch"),
        ("HEAD~1", "no doa backtest yet that masks; rebase it"),
        ("HEAD~2", "no doa backtest yet that masks; rebase it"),
        ("--all", "no commit or branch"),
    ],
)
def test_branch_that_cannot_be_run_is_told(
    repository: Path, tmp_path: Path, commit: str, error: str
) -> None:
    with pytest.raises(BadChange, match=error):
        run_at(commit, ["backtest"], tmp_path, repository)
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_git_that_does_not_end_is_told(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a hook waits for ever: git is killed, and what it began is taken away."""
    run_git = branch._git

    def impatient(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            if arguments[:2] == ("worktree", "add"):
                patch.setattr(branch, "GIT_S_MAX", 0.5)
            return run_git(root, *arguments)

    monkeypatch.setattr(branch, "_git", impatient)
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexec sleep 2 >/dev/null 2>&1\n")
    hook.chmod(0o755)
    with pytest.raises(
        BadChange, match="git worktree add has not ended within 0 s; try it by hand"
    ):
        run_at("HEAD", ["backtest"], tmp_path, repository)
    assert len(git(repository, "worktree", "list").splitlines()) == 1


@pytest.mark.parametrize("sensitive", [False, True])
def test_branch_is_asked_the_same(sensitive: bool) -> None:
    said = again(("processors", "mine"), None, "0", Path("/x"), "HEAD", "json", sensitive=sensitive)
    assert said == [
        *("--app", "mine", "backtest", "--since", "0", "--records", "/x"),
        *("--called", "HEAD", "--output", "json"),
        *(["--sensitive"] if sensitive else []),
    ]
