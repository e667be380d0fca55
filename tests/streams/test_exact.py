"""What the exact decoder takes and refuses, by bytes; fastavro takes most of it."""

from __future__ import annotations

import io
import math
from typing import Any

import fastavro
import pytest

from streams.errors import OutOfBounds, TooLarge, TrailingBytes, Truncated, Undecodable
from streams.exact import VALUES_MAX, compile_exact

LONGS = {"type": "array", "items": "long"}
MOOD = {"type": "enum", "name": "Mood", "symbols": ["CALM", "CROSS"]}
MAYBE = ["null", "long", MOOD]
PART = {"type": "record", "name": "Part", "fields": [{"name": "n", "type": "long"}]}
PAIR = {
    "type": "record",
    "name": "toys.Pair",
    "fields": [{"name": "one", "type": PART}, {"name": "other", "type": ["null", "Part"]}],
}


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **more}


@pytest.mark.parametrize(
    ("schema", "body", "expected"),
    [
        ("null", "", None),
        ("boolean", "01", True),
        ("int", "ff ff ff ff 0f", -(2**31)),
        ("long", "ff ff ff ff ff ff ff ff ff 01", -(2**63)),
        ("long", "fe ff ff ff ff ff ff ff ff 01", 2**63 - 1),
        ("float", "00 00 c0 3f", 1.5),
        ("double", "00 00 00 00 00 00 f0 7f", math.inf),
        ("bytes", "04 ff 00", b"\xff\x00"),
        ("string", "04 c3 a9", "é"),
        ({"type": "fixed", "name": "Two", "size": 2}, "61 62", b"ab"),
        (MOOD, "02", "CROSS"),
        (MAYBE, "04 02", "CROSS"),
        (LONGS, "04 02 04 00", [1, 2]),
        (LONGS, "02 02 02 04 00", [1, 2]),
        (LONGS, "03 04 02 04 02 06 00", [1, 2, 3]),
        ({"type": "map", "values": "long"}, "01 06 02 61 02 00", {"a": 1}),
        (PAIR, "02 02 04", {"one": {"n": 1}, "other": {"n": 2}}),
        (logical("string", "uuid"), "48" + b"12345678-1234-1234-1234-1234567890aB".hex(),
         "12345678-1234-1234-1234-1234567890aB"),
        (logical("bytes", "decimal", precision=2), "02 63", b"c"),
        (logical("bytes", "decimal", precision=0), "06 ff ff ff", b"\xff" * 3),
        (logical("string", "no-such-type"), "02 61", "a"),
        ({"type": {"type": "int"}}, "02", 1),
    ],
)  # fmt: skip
def test_what_avro_allows_is_taken(schema: Any, body: str, expected: Any) -> None:
    value = bytes.fromhex(body)
    assert compile_exact(schema)(b"head" + value, 4) == expected
    if not isinstance(schema, dict) or schema["type"] in (
        "array",
        "map",
        "record",
        "fixed",
        "enum",
    ):
        parsed = fastavro.parse_schema(schema)
        assert fastavro.schemaless_reader(io.BytesIO(value), parsed, None) == expected


@pytest.mark.parametrize(
    ("schema", "body", "error", "text"),
    [
        ("boolean", "07", Undecodable, "byte 0: a boolean of 7; 0 or 1 was expected"),
        ("int", "80 80 80 80 10", Undecodable,
         "byte 0: an int of 2147483648, which 32 bits do not hold"),
        ("long", "80 00", Undecodable,
         "byte 0: a number that is longer than it need be, or than 64 bits"),
        ("long", "ff ff ff ff ff ff ff ff ff 02", Undecodable,
         "byte 0: a number that is longer than it need be, or than 64 bits"),
        ("long", "80" * 12, Undecodable, "byte 0: a number of more than 10 bytes"),
        ("long", "80 80", Truncated, "a number begins at 0; the value ends at 2"),
        ("double", "00", Truncated, "8 bytes are announced at 0; the value ends at 1"),
        ("string", "01", Undecodable, "byte 0: a length of -1"),
        ("string", "fe ff ff ff ff ff ff ff ff 01", Truncated,
         "9223372036854775807 bytes are announced at 10; the value ends at 10"),
        ("string", "02 ff", Undecodable, "byte 0: a text that is no UTF-8: 'utf-8' codec can't "
         "decode byte 0xff in position 0: invalid start byte"),
        (MOOD, "01", Undecodable, "byte 0: symbol -1 of 2"),
        (MOOD, "04", Undecodable, "byte 0: symbol 2 of 2"),
        (MAYBE, "01", Undecodable, "byte 0: branch -1 of 3"),
        (MAYBE, "06", Undecodable, "byte 0: branch 3 of 3"),
        (LONGS, "04 02", Truncated, "2 items are announced at 1; the value is shorter"),
        (LONGS, "01 04 02 00", Undecodable, "byte 2: a block of 2 bytes that takes 1"),
        (LONGS, "ff ff ff ff ff ff ff ff ff 01 00", Truncated,
         "9223372036854775808 items are announced at 11; the value is shorter"),
        ({"type": "map", "values": "long"}, "04 02 61 02 02 61 04 00", Undecodable,
         "byte 6: a map holds the key 'a' twice"),
        ("long", "02 00", TrailingBytes, "it ends at byte 1, the value at 2"),
        (logical("string", "uuid"), "02 61", OutOfBounds, "a uuid of 'a'"),
        (logical("bytes", "decimal", precision=2), "04 00 64", OutOfBounds,
         "a decimal of more than 2 digits"),
        (logical("int", "time-millis"), "01", OutOfBounds,
         "a time-millis of -1; 0 to 86399999 was expected"),
        (logical("long", "timestamp-millis"), "fe ff ff ff ff ff ff ff ff 01", OutOfBounds,
         "a timestamp-millis of 9223372036854775807; "
         "-62135596800000 to 253402300799999 was expected"),
    ],
)  # fmt: skip
def test_what_avro_forbids_is_refused(
    schema: Any, body: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        compile_exact(schema)(bytes.fromhex(body), 0)
    assert (type(caught.value), str(caught.value)) == (error, text)


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        ("boolean", "07"), ("int", "80 80 80 80 10"), ("long", "80 00"), (MOOD, "01"),
        (MAYBE, "01 02"), ("long", "ff ff ff ff ff ff ff ff ff 02"), (LONGS, "01 04 02 00"),
    ],
)  # fmt: skip
def test_fastavro_takes_it_so_the_exact_decoder_is_needed(schema: Any, body: str) -> None:
    parsed = fastavro.parse_schema(schema)
    fastavro.schemaless_reader(io.BytesIO(bytes.fromhex(body)), parsed, None)


def test_a_value_holds_so_many_values_and_no_more() -> None:
    decode = compile_exact(LONGS)
    blocks = b"\x02\x00" * VALUES_MAX
    assert len(decode(blocks + b"\x00", 0)) == VALUES_MAX
    with pytest.raises(TooLarge, match="it holds more than 8192 values"):
        decode(blocks + b"\x02\x00\x00", 0)
