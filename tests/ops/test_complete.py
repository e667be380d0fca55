"""What the shell offers, through click's own completion."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from ops.cli import doa

TIDES = ("--app", "ops.examples.tides")


def offered(*words: str) -> list[str]:
    """What completes the last word."""
    shell = ShellComplete(doa, {}, "doa", "_DOA_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize(
    "words", [("worker",), ("worker", "flights"), ("graph",), ("reset",), ("control", "drain")]
)
def test_flows_complete_where_a_flow_is_named(words: tuple[str, ...]) -> None:
    assert offered(*words, "fl") == ["flights"]
    assert offered(*TIDES, *words, "ti") == ["tides"]
    assert offered(*words, "ti") == []


def test_topics_complete_as_the_cluster_calls_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert offered(*TIDES, "tap", "tides.") == [
        "tides.alert.flood",
        "tides.event.reading",
        "tides.feature.level",
        "tides.dead_letter",
    ]
    assert offered("tap", "flights-ch") == ["flights-changelog"]
    monkeypatch.setenv("DOA_NAMESPACE", "twin")
    assert offered(*TIDES, "tap", "tides") == []
    assert offered(*TIDES, "tap", "twin.tides.a") == ["twin.tides.alert.flood"]


def test_package_that_is_not_there_offers_nothing() -> None:
    assert offered("--app", "nowhere", "tap", "fl") == []


def test_help_says_how_it_is_switched_on_and_that_works() -> None:
    line = 'eval "$(_DOA_COMPLETE=bash_source doa)"'
    assert line in CliRunner().invoke(doa, ["--help"]).stdout
    told = "import sys; sys.argv[:] = ['doa']; from ops.cli import main; main()"
    environment = {
        "_DOA_COMPLETE": "bash_complete",
        "COMP_WORDS": "doa control dr",
        "COMP_CWORD": "2",
    }
    command = [sys.executable, "-c", told]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "plain,drain\n"
