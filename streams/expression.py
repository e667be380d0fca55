"""Conditions on records in CEL, the Common Expression Language: `late && probability < 0.02`.

Nothing that is typed is run as Python. An expression cannot loop: its macros (`all`, `exists`,
`map`, …) are off, since nested ones multiply, so it takes time in proportion to its length and what
it names. Its length and depth are bounded; patterns are RE2's, which do not backtrack. The one door
to the library; see `ops/decisions/0016-filters-are-cel.md`.

References
----------
CEL language definition, github.com/google/cel-spec.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel

from streams.errors import StreamsError
from streams.masking import Hidden, without_hidden
from streams.scope import Getter, NothingThere, Scope
from streams.shown import Shown

EXPRESSION_LENGTH_MAX = 1_000
WITHOUT_MACROS = "name: condition\nstdlib:\n  disable_macros: true\n"
MACROS = ("all", "exists", "exists_one", "filter", "has", "map")

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_SAID = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (?:Syntax error: )?([^\n]*)")
_UNDECLARED = re.compile(r"undeclared reference to '([^']+)'")
_NOISE = re.compile(r" expecting \{.*\}| \[[A-Z_]+\]$")
_WRITTEN_OTHERWISE = {
    r"=>|=<": "write >= or <=",
    r"(?<![=!<>])=(?!=)": "write == to compare",
    r"\band\b|\bAND\b": "write && for and",
    r"\bor\b|\bOR\b": "write || for or",
    r"\bnot\b|\bNOT\b": "write ! for not",
    r"\bis\b|\bIS\b": "write == null, or != null",
}


class BadExpression(StreamsError):
    """An expression that does not parse, is too long, or names what there is not."""


@dataclass(frozen=True)
class Expression:
    """A condition; `used` are the names that it reads of a record."""

    text: str
    used: tuple[tuple[str, Getter], ...]
    program: Any

    def holds(self, shown: Shown) -> bool | None:
        """Whether a record meets it; None if that cannot be told, as of a null that is compared."""
        try:
            data = {name: getter(shown) for name, getter in self.used}
            if any(isinstance(one, Hidden) for one in data.values()):
                return None
            data = {name: without_hidden(one) for name, one in data.items()}
            found = self.program.eval(data=data).value()
        except (NothingThere, RuntimeError):  # of a text that is none in C++
            return None
        return found if isinstance(found, bool) else None


def parse(text: str, scope: Scope) -> Expression:
    """Parse an expression and find what it names; BadExpression says where, and what to write."""
    text = " ".join(text.splitlines())
    if len(text) > EXPRESSION_LENGTH_MAX:
        raise BadExpression(
            f"a filter of {len(text):,} characters is too long: {EXPRESSION_LENGTH_MAX:,} at most"
        )
    visible = [name for name in scope.names if name not in scope.hidden]
    try:
        program = _compiled(text, visible)
    except RuntimeError as error:
        raise BadExpression(_explained(text, str(error), scope)) from error
    kind = program.return_type()
    if kind not in (cel.Type.BOOL, cel.Type.DYN):
        raise BadExpression(
            f"filter {text!r} is of type {kind.name().lower()}, a condition was expected, for "
            "instance: delay_minutes >= 15"
        )
    used = {name: scope.names[name] for name in named(text, visible)}
    return Expression(text, tuple(used.items()), program)


def named(text: str, names: Iterable[str]) -> list[str]:
    """Those of some names without which a text does not parse: those that it reads."""
    known = list(names)
    likely = [name for name in known if name.rsplit(".", 1)[-1] in text]
    return [name for name in likely if not _parses(text, [n for n in known if n != name])]


def all_hold(expressions: Sequence[Expression], shown: Shown) -> bool | None:
    """Whether a record meets all; None if one cannot be told, and no other says no."""
    told = [expression.holds(shown) for expression in expressions]
    if False in told:
        return False
    return None if None in told else True


def _compiled(text: str, names: Iterable[str] | Mapping[str, Any]) -> Any:
    config = cel.NewEnvConfigFromYaml(WITHOUT_MACROS)
    variables = dict.fromkeys(names, cel.Type.DYN)
    return cel.NewEnv(config=config, variables=variables).compile(text)


def _parses(text: str, names: Iterable[str]) -> bool:
    try:
        _compiled(text, names)
    except RuntimeError:
        return False
    return True


def _explained(text: str, said: str, scope: Scope) -> str:
    """The first fault that the library tells, where it is, and what to write instead."""
    if _parses(text, scope.names):
        unseen = next(name for name in named(text, scope.names) if name in scope.hidden)
        kind = scope.hidden[unseen]
        return (
            f"filter {text!r} names {unseen}, which is {kind}: a filter may only ask for what may "
            f"be seen (--sensitive, with DOA_MAY_SEE={kind})"
        )
    found = _SAID.search(said)
    if found is None or int(found[2]) < 1:
        return f"filter {text!r} is nested too deeply, or joins too many parts; write several"
    reason = _NOISE.sub("", found[3]).replace("<EOF>", "end")
    reason = reason.replace("token recognition error at", "not understood")
    unquoted = _QUOTED.sub(lambda quoted: " " * len(quoted[0]), text)
    hints = [told for sign, told in _WRITTEN_OTHERWISE.items() if re.search(sign, unquoted)]
    if (name := _UNDECLARED.match(reason)) is not None:
        reason, hints = _unknown(name[1], unquoted, scope), hints[:0]
    hint = f"; {hints[0]}" if hints else ""
    return f"filter {text!r}, at {found[2]}: {reason}{hint}"


def _unknown(name: str, unquoted: str, scope: Scope) -> str:
    if name in scope.wholes:
        fields = [n for n in scope.names if n.startswith(f"{name}.")]
        return f"{name!r} is a record; name one of its fields, for instance {fields[0]}"
    if any(re.search(rf"\b{macro}\s*\(", unquoted) for macro in MACROS):
        return f"filters have none of the macros {', '.join(MACROS)}; in a list: 'a' in LIST"
    if re.search(rf"\b{re.escape(name)}\s*\(", unquoted):
        return f"there is no function {name!r}"
    told = scope.unknown(name)
    return told if "; perhaps: " in told or scope.open else f"{told}; a text stands in quotes"
