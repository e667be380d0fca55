"""Records of any flow's inputs, drawn from what their classes declare: bounds, patterns, choices.

For a flow that has no source to replay. Texts come from small pools, so that records meet in the
tables of folds; times only go forward.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any, Literal, get_args, get_origin

from schemas.record import Record
from streams.processor import RecordClass
from streams.topology import Flow

STEP_MS = 1_800_000
UNIQUE_SHARE = 0.9
NONE_SHARE = 0.2
POOL = 3
REPEATS_MAX = 8


class Drawing:
    """Records of a flow's inputs in event-time order; the same for the same seed."""

    def __init__(self, flow: Flow, seed: int = 7) -> None:
        self.flow = flow
        self.random = Random(seed)
        self.time_ms = 0
        self.count = 0

    def records(self, count: int) -> Iterator[Record]:
        """So many records, of all inputs."""
        for _ in range(count):
            self.time_ms += self.random.randrange(STEP_MS)
            yield self.record(self.random.choice(self.flow.inputs))

    def record(self, kind: RecordClass) -> Any:
        """One record; its unique field is mostly new."""
        self.count += 1
        values = {n: self.value(n, i.annotation, i) for n, i in kind.model_fields.items()}
        stream = kind.stream
        if stream is not None:
            low = bound(kind.model_fields[stream.event_time], "ge", 0)
            values[stream.event_time] = low + self.time_ms
            if stream.unique is not None and self.random.random() < UNIQUE_SHARE:
                info = kind.model_fields[stream.unique]
                values[stream.unique] = self.text(info, Random(self.count))
        return kind(**values)

    def value(self, name: str, annotation: Any, info: Any) -> Any:
        """A value of an annotated type within the bounds of its field."""
        parts, draw = get_args(annotation), self.random
        if get_origin(annotation) is Literal:
            return draw.choice(parts)
        if get_origin(annotation) is list:
            return [self.value(name, parts[0], info) for _ in range(draw.randrange(POOL))]
        if get_origin(annotation) is dict:
            return {f"k{i}": self.value(name, parts[1], info) for i in range(draw.randrange(POOL))}
        if type(None) in parts:
            kind = next(part for part in parts if part is not type(None))
            return None if draw.random() < NONE_SHARE else self.value(name, kind, info)
        if issubclass(annotation, Record):
            return self.record(annotation)
        if annotation is bool:
            return draw.random() < 0.5
        if annotation is bytes:
            return draw.randbytes(4)
        if annotation is str:
            return self.text(info, Random(draw.randrange(POOL)))
        low = bound(info, "ge", 0)
        high = bound(info, "le", low + 1_000)
        return draw.randint(low, high) if annotation is int else draw.uniform(low, high)

    def text(self, info: Any, draw: Random) -> str:
        """A text that matches the pattern of its field, if that is a plain one."""
        pattern = next((m.pattern for m in info.metadata if getattr(m, "pattern", None)), "^[a-z]$")
        return "".join(matching(re._parser.parse(pattern), draw))  # type: ignore[attr-defined]


def bound(info: Any, name: str, default: Any) -> Any:
    """A bound that a field declares."""
    return next((getattr(m, name) for m in info.metadata if hasattr(m, name)), default)


def matching(parsed: Any, draw: Random) -> Iterator[str]:
    """Texts of a parsed pattern: literals, sets, repeats, groups."""
    for operation, argument in parsed:
        kind = str(operation)
        if kind == "LITERAL":
            yield chr(argument)
        elif kind == "IN":
            yield chr(draw.choice([*members(argument)]))
        elif kind == "MAX_REPEAT":
            low, high, inner = argument
            for _ in range(draw.randint(low, min(high, low + REPEATS_MAX))):
                yield from matching(inner, draw)
        elif kind == "SUBPATTERN":
            yield from matching(argument[-1], draw)
        elif kind == "BRANCH":
            yield from matching(draw.choice(argument[1]), draw)
        else:
            assert kind == "AT", f"{kind} is more than this drawing knows: give the flow a source"


def members(options: Any) -> Iterator[int]:
    """The characters of a set in a pattern."""
    for kind, argument in options:
        if str(kind) == "LITERAL":
            yield argument
        elif str(kind) == "RANGE":
            yield from range(argument[0], argument[1] + 1)
        else:
            yield from map(ord, {"CATEGORY_DIGIT": "0123456789"}.get(str(argument), "a"))
