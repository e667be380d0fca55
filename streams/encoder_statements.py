"""The body of an encoder as statements, for the compiler: each writes a value to the one buffer `w`
by a function of `schemas.wire`.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from schemas.generated import indented
from streams.encoder_expressions import HEAD


class Statements:
    """The lines that write a record `r`, and those that define `functions`, one for each class of
    nested records. KeyError for a type that only fastavro knows.
    """

    def __init__(self) -> None:
        self.functions: list[str] = []
        self._writers: dict[str, str] = {}  # by the names of classes
        self._numbers = count()

    def fields(self, schema: dict[str, Any]) -> list[str]:
        """The lines that write the fields of a record `r`; first they take its `__dict__`."""
        written = (self._value(f["type"], f"d[{f['name']!r}]") for f in schema["fields"])
        return ["d: dict[str, Any] = r.__dict__", *(line for lines in written for line in lines)]

    def _value(self, kind: Any, value: str) -> list[str]:
        """The lines that write a value."""
        if isinstance(kind, list):
            return self._optional(kind, value)
        if isinstance(kind, dict):
            match kind["type"]:
                case "record":
                    return [f"{self._record(kind)}(w, {value})"]
                case "array":
                    return self._array(kind["items"], value)
                case "map":
                    return self._map(kind["values"], value)
            return self._value(kind["type"], value)
        if kind in self._writers:
            return [f"{self._writers[kind]}(w, {value})"]
        return [_PRIMITIVES[kind].format(value)]

    def _record(self, schema: dict[str, Any]) -> str:
        """Define the function that writes a nested record, and return its name.

        It takes the value that was kept, if there is one and it is of this class and no subclass.
        """
        name = schema["name"]
        function = self._writers[name] = f"put_record_{len(self._writers)}"
        fields = self.fields(schema)
        self.functions += [
            f"def {function}(w: BytesWriter, r: Any) -> None:",
            f"    if type(r) is class_{name}:",
            "        try:",
            "            value: bytes = kept(r)",
            f"            w.write(value[{HEAD}:])",
            "            return",
            "        except AttributeError:",
            "            pass",
            *indented(fields),
        ]
        return function

    def _array(self, items: Any, value: str) -> list[str]:
        v, x = self._variables("v", "x")
        if items == "double":
            written = [f"put_doubles(w, {v})"]
        else:
            written = [f"for {x} in {v}:", *indented(self._value(items, x))]
        return self._block(v, value, written)

    def _map(self, values: Any, value: str) -> list[str]:
        v, k, x = self._variables("v", "k", "x")
        pair = [f"put_text(w, {k})", *self._value(values, x)]
        return self._block(v, value, [f"for {k}, {x} in {v}.items():", *indented(pair)])

    def _block(self, v: str, value: str, written: list[str]) -> list[str]:
        """The one block of an array or a map that is not empty, and the empty block at its end."""
        some = [f"put_long(w, len({v}))", *written]
        return [f"{v} = {value}", f"if {v}:", *indented(some), r"w.write(b'\0')"]

    def _optional(self, branches: list[Any], value: str) -> list[str]:
        """A nullable value: two branches, one of them null."""
        if len(branches) != 2 or "null" not in branches:
            raise KeyError(str(branches))
        null = branches.index("null")
        nothing, something = (b"\0", b"\2") if null == 0 else (b"\2", b"\0")
        [v] = self._variables("v")
        written = [f"w.write({something!r})", *self._value(branches[1 - null], v)]
        return [
            f"{v} = {value}",
            f"if {v} is None: w.write({nothing!r})",
            "else:",
            *indented(written),
        ]

    def _variables(self, *letters: str) -> list[str]:
        """Names that no other lines use: what is nested has variables of its own."""
        number = next(self._numbers)
        return [f"{letter}{number}" for letter in letters]


_PRIMITIVES = {
    "int": "put_long(w, {})",
    "long": "put_long(w, {})",
    "double": "put_double(w, {})",
    "string": "put_text(w, {})",
    "bytes": "put_blob(w, {})",
    "boolean": r"w.write(b'\1' if {} else b'\0')",
}
