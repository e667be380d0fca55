"""The house style, as far as a program sees it. Each rule is a function from a file to its faults.

A fault reads `path:line: error: X is banned, use Y`. The rules are tried on bad snippets below.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "schemas": {"schemas"},
    "streams": {"schemas", "streams"},
    "processors": {"schemas", "streams", "processors"},
    "ops": {"schemas", "streams", "processors", "ops"},
}
DOORS = {
    "fastavro": ("streams/codec.py",),
    "confluent_kafka": (
        "streams/broker.py",
        "streams/clients.py",
        "streams/registry.py",
        "streams/flow.py",
        "streams/transaction.py",
    ),
    "faust": ("streams/app/",),
    "mode": ("streams/app/",),
    "aiokafka": ("streams/app/",),
    "prometheus_client": ("streams/metrics.py",),
    "river": ("processors/",),
    "cel_expr_python": ("streams/expression.py",),
    "pickle": ("streams/unpickle.py",),
    "scipy": ("ops/backtest/paired.py",),
    "openlineage": ("ops/openlineage.py",),
    "pyarrow": ("streams/columns/", "ops/frames.py", "ops/export/", "ops/query/"),
    "duckdb": ("ops/query/child.py",),
}
FOREIGNERS = ("tests/", "ops/bench/", "ops/examples/")  # they play foreign producers and peers
VAGUE_FILES = {
    "utils": "its caller's name",
    "helpers": "its caller's name",
    "common": "its concern",
    "misc": "its concern",
    "manager": "a verb",
}
WORDS = {
    "message": "record", "messages": "records", "msg": "record", "rec": "record", "num": "count",
    "job": "processor", "handler": "processor", "manager": "a function", "pipeline": "flow",
    "checkpoint": "snapshot", "dataset": "stream", "cfg": "settings", "util": "a verb",
    "utils": "a verb", "helper": "its caller's name", "tmp": "a noun",
}  # fmt: skip
THEIR_WORDS = {  # a class of this library is called so
    "message": ("streams/broker.py", "streams/flow.py", "streams/app/"),
    "messages": ("streams/broker.py", "streams/flow.py", "streams/transaction.py"),
}
DEADLY = {  # calls of a library that can end the process
    "list_consumer_group_offsets": "Cluster.committed (librdkafka #5040)",
}
LINES_MAX, TEST_LINES_MAX, FUNCTION_LINES_MAX = 300, 400, 60
LONGER_FILES = {  # may only shrink
    "streams/flow.py": 400,  # the transactional loop, whose order is easier to check in one place
}
MACHINES = re.compile(r"(?<![\w.])/(?:work|home/[a-z]+|root|Users|tmp)/[\w.]")
HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|maven\.org|maven\.apache|npmjs|docker\.io|ghcr\.io"
)

Faults = Iterator[tuple[int, str]]


class Source(NamedTuple):
    """A file, parsed."""

    path: str
    text: str
    tree: ast.Module


Rule = Callable[[Source], Faults]


def one_way(source: Source) -> Faults:
    room = source.path.split("/")[0]
    for line, module in imports(source.tree):
        other = module.split(".")[0]
        if other in {*MAY_IMPORT, "tests"} and other not in MAY_IMPORT.get(room, {other}):
            allowed = ", ".join(sorted(MAY_IMPORT[room]))
            yield line, f"importing {other} in {room} is banned, use {allowed} only"


def one_door(source: Source) -> Faults:
    for line, module in imports(source.tree):
        doors = DOORS.get(module.split(".")[0])
        if doors and not source.path.startswith((*doors, *FOREIGNERS)):
            yield line, f"importing {module} is banned, use {' or '.join(doors)}"


def named_for_its_concern(source: Source) -> Faults:
    stem = Path(source.path).stem
    if stem in VAGUE_FILES:
        yield 1, f"a file called {stem} is banned, use {VAGUE_FILES[stem]}"


def short(source: Source) -> Faults:
    lines_max = TEST_LINES_MAX if source.path.startswith("tests/") else LINES_MAX
    count, most = source.text.count("\n"), LONGER_FILES.get(source.path, lines_max)
    if count > most:
        yield most + 1, f"a file of {count} lines is banned, use {most} at most"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1 if ast.get_docstring(node) and len(node.body) > 1 else 0]
            length = (node.end_lineno or 0) - first.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield (
                    node.lineno,
                    f"a body of {length} lines is banned, use {FUNCTION_LINES_MAX} at most",
                )


def our_words(source: Source) -> Faults:
    for line, name in names(source.tree):
        for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name):
            word = part.lower()
            if word in WORDS and not source.path.startswith(("tests/", *THEIR_WORDS.get(word, ()))):
                yield line, f"{word!r} in {name} is banned, use {WORDS[word]!r}"


def nothing_swallowed(source: Source) -> Faults:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and all(
            isinstance(s, ast.Pass | ast.Continue) for s in node.body
        ):
            caught = {"" if node.type is None else ast.unparse(node.type)}
            if caught & {"", "Exception", "BaseException"}:
                yield (
                    node.lineno,
                    "swallowing every exception is banned, use the one that is expected",
                )


def nothing_deadly(source: Source) -> Faults:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr in DEADLY:
            yield node.lineno, f"{node.attr} is banned, use {DEADLY[node.attr]}"


def finished(source: Source) -> Faults:
    for line, text in enumerate(source.text.split("\n"), 1):
        if re.search(r"#.*\b(FIXME|XXX)\b|#\s*TODO\b(?! ?\(\w+, )", text):
            yield line, "an open note is banned, use an issue or `TODO (owner, condition)`"


def of_no_machine(source: Source) -> Faults:
    for line, text in enumerate(source.text.split("\n"), 1):
        for found in (*MACHINES.findall(text), *HOSTS.findall(text)):
            yield line, f"{found} is banned, use a relative path or a setting"


def documented(source: Source) -> Faults:
    if source.path.startswith("tests/") or not source.text:
        return
    if ast.get_docstring(source.tree) is None:
        yield 1, "a module without docstring is banned, use one that says why it exists"
    for node in public(source.tree):
        if ast.get_docstring(node) is None:
            yield node.lineno, f"{node.name} without docstring is banned, use one sentence"


RULES: list[Rule] = [
    one_way,
    one_door,
    named_for_its_concern,
    short,
    our_words,
    nothing_swallowed,
    nothing_deadly,
    finished,
    of_no_machine,
    documented,
]


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What a file names itself; what it only uses is named by others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def public(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for node in tree.body:
        inner = (
            node.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else []
        )
        yield from (
            n for n in (node, *inner) if isinstance(n, kinds) and not n.name.startswith("_")
        )


@cache
def parsed(path: str, text: str) -> Source:
    return Source(path, text, ast.parse(text))


def faults(rule: Rule, path: str, text: str) -> list[str]:
    source = parsed(path, text)
    return [f"{path}:{line}: error: {fault}" for line, fault in rule(source)]


def files() -> list[Path]:
    found = [
        path for room in (*MAY_IMPORT, "tests") for path in sorted((ROOT / room).rglob("*.py"))
    ]
    return [path for path in found if path != Path(__file__)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house_is_tidy(rule: Rule) -> None:
    found = [
        f
        for p in files()
        for f in faults(rule, p.relative_to(ROOT).as_posix(), p.read_text(encoding="utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


BAD: list[tuple[Rule, str, str, str]] = [
    (one_way, "streams/a.py", "if 1:\n    from processors.b import c\n",
     "2: error: importing processors in streams is banned, use schemas, streams only"),
    (one_way, "schemas/a.py", "import tests.b\n",
     "1: error: importing tests in schemas is banned, use schemas only"),
    (one_door, "processors/a.py", "from prometheus_client.core import B\n",
     "1: error: importing prometheus_client.core is banned, use streams/metrics.py"),
    (one_door, "ops/a.py", "def f():\n    import pickle\n",
     "2: error: importing pickle is banned, use streams/unpickle.py"),
    (named_for_its_concern, "ops/utils.py", "",
     "1: error: a file called utils is banned, use its caller's name"),
    (short, "ops/a.py", "a = 1\n" * 301,
     "301: error: a file of 301 lines is banned, use 300 at most"),
    (short, "ops/a.py", "def f():\n    'Doc.'\n" + "    a = 1\n" * 61,
     "1: error: a body of 61 lines is banned, use 60 at most"),
    (our_words, "ops/a.py", "class JobList:\n    pass\n",
     "1: error: 'job' in JobList is banned, use 'processor'"),
    (our_words, "streams/a.py", "def f(message): pass\n",
     "1: error: 'message' in message is banned, use 'record'"),
    (nothing_swallowed, "ops/a.py", "try:\n    f()\nexcept Exception:\n    pass\n",
     "3: error: swallowing every exception is banned, use the one that is expected"),
    (nothing_deadly, "tests/a.py", "admin.list_consumer_group_offsets([])\n",
     "1: error: list_consumer_group_offsets is banned, use Cluster.committed (librdkafka #5040)"),
    (finished, "ops/a.py", "a = 1  # TODO later\n",
     "1: error: an open note is banned, use an issue or `TODO (owner, condition)`"),
    (of_no_machine, "ops/a.py", "a = '/home/me/b'\n",
     "1: error: /home/me/b is banned, use a relative path or a setting"),
    (documented, "ops/a.py", "'''Doc.'''\ndef f(): pass\ndef _g(): pass\n",
     "2: error: f without docstring is banned, use one sentence"),
]  # fmt: skip
GOOD: list[tuple[Rule, str, str]] = [
    (one_way, "ops/a.py", "from processors import b\n"),
    (one_door, "ops/bench/a.py", "import river\n"),
    (our_words, "ops/a.py", "print(event.message)\n"),
    (nothing_swallowed, "ops/a.py", "try:\n    f()\nexcept KeyError:\n    pass\n"),
    (finished, "ops/a.py", "a = 1  # TODO (owner, when Kafka 5 is out)\n"),
]


@pytest.mark.parametrize(("rule", "path", "text", "expected"), BAD)
def test_rule_finds_a_fault(rule: Rule, path: str, text: str, expected: str) -> None:
    assert faults(rule, path, text) == [f"{path}:{expected}"]


@pytest.mark.parametrize(("rule", "path", "text"), GOOD)
def test_rule_leaves_good_code_alone(rule: Rule, path: str, text: str) -> None:
    assert faults(rule, path, text) == []
