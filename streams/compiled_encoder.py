"""An Avro encoder generated for one record class: the same bytes as fastavro's, in a third of the
time, and compiled in a tenth.

fastavro walks the schema for every record; here the walk happens once and leaves a few lines per
field. Nothing in them comes from outside: the schema is derived from our own class, and field names
are Python identifiers. What this does not know (`compile_encoder` returns None) is left to
fastavro.

References
----------
Apache Avro 1.12 specification, "Binary Encoding". The test compares with fastavro, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.generated import build, indented
from schemas.record import Record
from schemas.rules import classes_in
from streams.encoder_expressions import Expressions
from streams.encoder_statements import Statements

_VALUE: Any = vars(Record)["_value"]  # the slot itself: asking a record for it may take long
KEEP_VALUE: Callable[[Any, bytes], None] = _VALUE.__set__

Encoder = Callable[[Any], bytes]


def compile_encoder(record: type[Record], schema: dict[str, Any], prefix: bytes) -> Encoder | None:
    """A function from a record to its value in the wire format: `prefix` and its Avro body.

    The value of a record of a stream is left with it, for the encoders of records it stands in.
    """
    statements, expressions = Statements(), Expressions()
    try:
        written, parts = statements.fields(schema), expressions.fields(schema)
    except KeyError:
        return None  # a type that only fastavro knows
    native = ["w = BytesWriter()", "w.write(head)", *written, "value = w.getvalue()"]
    plain = ["d = r.__dict__", f"value = b''.join((head, {parts}))"]
    end = [*(["keep(r, value)"] if record.stream is not None else []), "return value"]
    names: dict[str, Any] = {
        **{f"class_{name}": nested for name, nested in classes_in(record).items()},
        **expressions.names,
        "head": prefix,
        "kept": _VALUE.__get__,
        "keep": KEEP_VALUE,
    }
    encode: Encoder = build(
        "encode",
        [*expressions.functions, _DEF, *indented([*plain, *end])],
        names,
        [*statements.functions, _DEF, *indented([*native, *end])],
    )
    return encode


_DEF = "def encode(r: Any) -> bytes:"
