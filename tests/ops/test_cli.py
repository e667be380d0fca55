from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from ops.cli import COMMANDS, doa, main


def commands(
    group: click.Group = doa, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and group, with the words that call it."""
    yield path, group
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{name} is listed and is not there"
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


FLEET = dict(commands())


def run(*words: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(doa, words)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the one who runs the tests are not those of the tests."""
    for name in [name for name in os.environ if name.startswith("DOA_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run what the console script runs: its exit code, stdout and stderr."""

    def end(*words: str) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["doa", *words])
        with pytest.raises(SystemExit) as error:
            main()
        return (error.value.code, *capsys.readouterr())

    return end


def examples_of(path: tuple[str, ...]) -> list[list[str]]:
    """The examples in the help of a command, as words."""
    text = " ".join(run(*path, "--help").output.split())
    found = re.findall(r"Example: doa (.*?)(?= Options:| Commands:|$)", text)
    return [shlex.split(example) for example in found]


@pytest.mark.parametrize("path", FLEET, ids=" ".join)
def test_every_command_has_help_with_an_example_that_parses(path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    examples = examples_of(path)
    assert examples, "the help shows no example"
    for example in examples:
        called = parsed(example)
        assert called[: len(path)] == path, "the example calls another command"


def parsed(words: list[str]) -> tuple[str, ...]:
    """The command that words call, all of them parsed and nothing run."""
    command: click.Command = doa
    context = command.make_context("doa", list(words))
    path: list[str] = []
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, rest)
        assert name is not None
        assert found is not None
        path.append(name)
        command, context = found, found.make_context(name, rest, parent=context)
    return tuple(path)


def test_commands_are_those_of_the_table() -> None:
    assert [path[0] for path in FLEET if len(path) == 1] == list(COMMANDS)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("nothing",), "No such command 'nothing'"),
        (("check", "--nothing"), "No such option: --nothing"),
        (("check", "-o", "xml"), "'xml' is not one of 'table', 'json'"),
        (("demo", "--flights", "0"), "0 is not in the range 1<=x<=336776"),
        (("demo", "--speed", "-3x"), "'-3x' is neither `max` nor a factor like `60x`"),
        (("control", "stop", "flights"), "'stop' is not one of 'pause', 'resume', 'drain'"),
        (("worker", "--option", "flights"), "'flights' is not NAME=VALUE"),
        (("worker", "--wait", "--restart"), "--restart and --wait exclude each other"),
        (("tap",), "Missing argument 'TOPIC'"),
        (("reset", "flights"), "say --yes where nobody can be asked"),
        (("dlq", "redrive"), "say which letters: ID..., or --class and --processor, or --all"),
        (("dlq", "redrive", "--all", "--class", "EMPTY"), "say which letters"),
        (
            ("dlq", "redrive", "flights.dead_letter[0]"),
            "is no id such as flights.dead_letter[0]@17",
        ),
        (("dlq", "show", "nothing"), "'nothing' is no id such as"),
        (("dlq", "drop", "flights.dead_letter[0]@1"), "say --yes where nobody can be asked"),
        (("down", "--wipe"), "say --yes where nobody can be asked"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_is_wrong(words: tuple[str, ...], expected: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert expected in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_check_says_ok() -> None:
    result = run("--app", "ops.examples.tides", "check")
    assert result.exit_code == 0
    first, *owed = result.stdout.splitlines()
    assert re.fullmatch(
        r"ok: \d+ flows, \d+ processors, \d+ streams, code version [0-9a-f]{8}", first
    )
    assert all(line.startswith("cascade: ") for line in owed)


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (("check",), {"flows", "streams", "problems", "debts", "settings"}),
        (("graph",), {"code_version", "flows", "streams", "edges"}),
        (("graph", "tides"), {"code_version", "flows", "streams", "edges"}),
        (("schemas", "check"), {"problems"}),
        (("schemas", "diff"), {"changes"}),
    ],
)
def test_json_is_alone_on_stdout(words: tuple[str, ...], keys: set[str]) -> None:
    result = run("--app", "ops.examples.tides", *words, "-o", "json")
    assert result.exit_code == 0, result.stderr
    assert set(json.loads(result.stdout)) == keys
    assert result.stderr == ""


def test_flow_that_does_not_exist_exits_1(ended: Any) -> None:
    assert ended("graph", "nothing") == (
        1,
        "",
        "doa: there is no flow 'nothing'; there are: flights, nycflights\n",
    )


def test_package_that_does_not_exist_exits_1(ended: Any) -> None:
    assert ended("--app", "nowhere", "check") == (
        1,
        "",
        "doa: there is no package 'nowhere' to load: No module named 'nowhere'\n",
    )


def test_broken_topology_exits_1_with_a_sentence(
    ended: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "broken"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "processors.py").write_text(
        "from schemas.record import Record, Stream, field\n"
        "from streams.processor import transform\n"
        "class A(Record, stream=Stream('broken.raw.a', 'key', 'at_ms', 'me')):\n"
        "    'A.'\n"
        "    key: str = field('Key.')\n"
        "    at_ms: int = field('When.', unit='ms')\n"
        "@transform(reads=A, writes=())\n"
        "def f(a: A): return ()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    sentence = "A: topic 'broken.raw.a' is not <domain>.<stage>.<noun>\n"
    assert ended("--app", "broken", "check") == (1, sentence, "")
    assert ended("--app", "broken", "graph") == (1, "", f"doa: {sentence}")


UNREACHABLE = {
    "DOA_BOOTSTRAP": "127.0.0.1:1",
    "DOA_REGISTRY_URL": "http://127.0.0.1:1",
    "DOA_REQUEST_TIMEOUT_S": "0.5",
}
DOES_NOT_ANSWER = r"doa: Kafka at 127\.0\.0\.1:1 does not answer \(.*\); run: doa status\n"


@pytest.mark.parametrize(
    "words",
    [
        ("apply", "--plan"),
        ("tap", "flights.event.arrival", "-n", "1"),
        ("control", "pause", "flights"),
        ("reset", "flights", "--yes"),
        ("dlq", "ls"),
        ("dlq", "redrive", "--all", "-o", "json"),
        ("schemas", "register"),
        ("schemas", "register", "-o", "json"),
    ],
    ids=" ".join,
)
def test_unreachable_kafka_exits_3_and_says_what_to_do(
    words: tuple[str, ...], ended: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**UNREACHABLE, "DOA_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    code, out, err = ended(*words)
    assert (code, out) == (3, "")
    assert re.fullmatch(DOES_NOT_ANSWER, err)


def test_worker_without_kafka_exits_3(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ops", "worker", "flights"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **UNREACHABLE, "DOA_HOME": str(tmp_path), "PYTHONHASHSEED": "0"},
    )
    assert (result.returncode, result.stdout) == (3, "")
    assert re.fullmatch(DOES_NOT_ANSWER, result.stderr)


def test_no_kafka_at_all_exits_3_and_says_what_to_do(
    ended: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOA_HOME", str(tmp_path))
    assert ended("apply") == (
        3,
        "",
        "doa: no Kafka is running for this checkout; run: doa up "
        "(or set DOA_BOOTSTRAP and DOA_REGISTRY_URL)\n",
    )


def test_status_of_nothing_exits_1(
    ended: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOA_HOME", str(tmp_path))
    code, out, err = ended("status", "-o", "json")
    assert (code, json.loads(out)["kafka"]["running"], err) == (1, False, "")
