"""The cases of a fuzz campaign: each is a function of the seed and its number, and judges itself.

Some are judged by more than "no crash": what was drawn as legal Avro must be taken and mean what
the exact decoder says, what was drawn with a fault must be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from ops.fuzz.draw import Drawn, draw_schema, spoil
from ops.fuzz.records import Sample
from schemas.record import Record
from streams.codec import Codec, MemoryRegistry, decode_any
from streams.errors import DataError, TooLarge
from streams.exact import compile_exact
from streams.topology import stream_of
from streams.varint import encode_long

GROUP = 100  # cases that share a drawn schema: one costs more than many cases
FAULTS_WITHIN = 12  # values before the one with the fault
RANDOM_BYTES = (0, 8, 60, 400, 30_000)
LARGE_SHARE, LONGS_MAX, TEXT_BYTES_MAX = 0.02, 16_384, 1_100_000
UNKNOWN_ID = b"\x00\x7f\xff\xff\xff"


class Wrong(Exception):
    """A decoder took what it must refuse, refused what it must take, or read something else."""


class Campaign:
    """All cases of one seed against the event topics of a topology."""

    def __init__(self, seed: int, records: Iterable[type[Record]]) -> None:
        self.seed = seed
        self.records: list[type[Record]] = [
            Sample,
            *(r for r in records if stream_of(r).stage == "event"),
        ]
        self.codecs = [_codec(record, MemoryRegistry()) for record in self.records]
        self.exact = {codec.subject: compile_exact(codec.schema) for codec in self.codecs}
        self._group = -1
        self._schema: Any = None
        self._registry = MemoryRegistry()
        self._evolved: tuple[Codec, bytes, Any]

    def run(self, number: int) -> str:
        """Run one case; TAKEN or the code of the DataError. Anything else is raised."""
        draw = Random(f"{self.seed}/{number}")
        self._enter(number // GROUP)
        case: Callable[[Random], Any] = draw.choice(CASES).__get__(self)
        try:
            case(draw)
        except DataError as error:
            return error.code
        return "TAKEN"

    def _enter(self, group: int) -> None:
        """Draw what the cases of a group share."""
        if group == self._group:
            return
        self._group = group
        draw = Random(f"{self.seed}/group/{group}")
        self._registry = MemoryRegistry()
        self._schema = draw_schema(draw)
        head = _head(self._registry, "fuzz.drawn-value", self._schema)
        assert head == b"\x00\x00\x00\x00\x01"
        codec = _codec(Sample, self._registry)
        schema = _evolve(draw, codec.schema)
        self._evolved = codec, _head(self._registry, codec.subject, schema), schema

    def noise(self, draw: Random) -> None:
        """Random bytes under a good schema id, or under none."""
        codec = draw.choice(self.codecs)
        head = draw.choice([codec.prefix, codec.prefix, codec.prefix, b"", UNKNOWN_ID])
        self._agreed(codec, head + draw.randbytes(draw.randint(0, draw.choice(RANDOM_BYTES))))

    def mutated(self, draw: Random) -> None:
        """A legal value with a few bytes changed."""
        codec = draw.choice(self.codecs)
        drawn = Drawn(draw, codec.schema)
        value = bytearray(codec.prefix + drawn.body)
        for _ in range(draw.randint(1, 3)):
            at, size = draw.randrange(len(value) + 1), draw.randint(0, 6)
            new = draw.choice([b"", bytes(size), b"\xff" * size, draw.randbytes(size)])
            value[at : at + draw.randint(0, 6)] = new
        self._agreed(codec, bytes(value))

    def legal(self, draw: Random) -> None:
        """A legal value of any form: it is taken."""
        codec = self.codecs[0]
        self._taken(codec, codec.prefix + bytes(Drawn(draw, codec.schema).body))

    def large(self, draw: Random) -> None:
        """Many values, or many bytes; seldom, since it takes a hundred times as long."""
        if draw.random() > LARGE_SHARE:
            return self.noise(draw)
        codec = self.codecs[0]
        longs, size = draw.randint(0, LONGS_MAX), draw.randint(0, TEXT_BYTES_MAX)
        plain = b"\x02" + bytes(8) + b"\0\0\0\0"  # the fields between the key and the numbers
        block = encode_long(longs) + draw.randbytes(1) * longs + b"\0"
        body = encode_long(size) + b"k" * size + plain + block + b"\0\0\0"
        self._agreed(codec, codec.prefix + body)

    def evolved(self, draw: Random) -> None:
        """A legal value of another writer's schema: it is taken, too."""
        codec, head, schema = self._evolved
        self._taken(codec, head + bytes(Drawn(draw, schema).body))

    def faulty(self, draw: Random) -> None:
        """A value that is legal but for one fault, of today's schema or another: it is refused."""
        evolved, head, schema = self._evolved
        own = draw.choice(self.codecs)
        codec, head, schema = draw.choice([(own, own.prefix, own.schema), (evolved, head, schema)])
        drawn = Drawn(draw, schema, draw.randrange(FAULTS_WITHIN))
        tail = b"" if drawn.fault else draw.randbytes(draw.randint(1, 3))
        self._refused(drawn.fault or "tail", codec.decode, head + bytes(drawn.body) + tail)

    def drawn(self, draw: Random) -> None:
        """A value of a drawn schema, legal or not, as views decode it."""
        fault_at = draw.randrange(FAULTS_WITHIN) if draw.random() < 0.5 else None
        drawn = Drawn(draw, self._schema, fault_at)
        value = b"\x00\x00\x00\x00\x01" + bytes(drawn.body)
        if drawn.fault:
            self._refused(drawn.fault, lambda v: decode_any(self._registry, v), value)
        else:
            try:
                decode_any(self._registry, value)
            except TooLarge:
                return
            except DataError as error:
                raise Wrong(f"{self._schema} of {value.hex()} was refused: {error}") from error

    def unsafe(self, draw: Random) -> None:
        """A schema with something evil in it."""
        registry = MemoryRegistry()
        schema = spoil(draw, self._schema)
        head = _head(registry, "fuzz.evil-value", schema)
        decode_any(registry, head + draw.randbytes(draw.choice(RANDOM_BYTES)))

    def _agreed(self, codec: Codec, value: bytes) -> None:
        """What is taken means what the exact decoder says, and is the same when encoded again."""
        record = codec.decode(value)
        own = value.startswith(codec.prefix)
        if own and self.exact[codec.subject](value, 5) != record.model_dump():
            raise Wrong(f"{value.hex()} was read as {record!r}")
        if codec.decode(codec.encode(record)) != record:
            raise Wrong(f"{record!r} is another record when encoded again")

    def _taken(self, codec: Codec, value: bytes) -> None:
        try:
            self._agreed(codec, value)
        except DataError as error:
            raise Wrong(f"{value.hex()} was refused: {error}") from error

    def _refused(self, fault: str, decode: Callable[[bytes], Any], value: bytes) -> None:
        found = decode(value)
        raise Wrong(f"{fault}: {value.hex()} was taken as {found!r}")


CASES = (
    Campaign.noise,
    Campaign.mutated,
    Campaign.mutated,
    Campaign.legal,
    Campaign.large,
    Campaign.evolved,
    Campaign.faulty,
    Campaign.faulty,
    Campaign.drawn,
    Campaign.unsafe,
)


def _codec(record: type[Record], registry: MemoryRegistry) -> Codec:
    codec = Codec(record, f"{stream_of(record).topic}-value", registry)
    codec.register()
    return codec


def _head(registry: MemoryRegistry, subject: str, schema: Any) -> bytes:
    return b"\x00" + registry.schema_id(subject, schema).to_bytes(4, "big")


def _evolve(draw: Random, schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that an older or younger writer might have: other order, fields gone or new."""
    first = "part"  # the field that defines what others name
    kept = [f for f in schema["fields"] if "default" not in f or draw.random() < 0.7]
    fields = [f for f in kept if f["name"] != first]
    fields.append({"name": "extra", "type": draw_schema(draw)})
    draw.shuffle(fields)
    return {**schema, "fields": [*(f for f in schema["fields"] if f["name"] == first), *fields]}
