"""The compiled modules write what the source writes, to the byte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.compiled import BENCHED, ROOT, codec_texts, compile_codecs, compile_hot, prefer

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

WRITTEN = """
import hashlib, sys
from itertools import islice
from pathlib import Path
from ops.compiled import prefer, preferred
if sys.argv[1:]:
    assert prefer(Path(sys.argv[1]))
import streams.unit
from ops.bench.readings import readings
from ops.bench.unit import FedUnit
from processors.nycflights.replay import read_timeline
from streams.moment import take_for_a_moment
from schemas.generated import build
from streams.topology import discover
from streams.unit import NO_LIMIT
assert preferred() == (not streams.unit.__file__.endswith(".py")) == bool(sys.argv[1:])
feeds = {
    "hop": (discover(["ops.bench.hop"]).flow("hop"), readings()),
    "keyed": (discover(["ops.bench.keyed"]).flow("keyed"), readings(400)),
    "flights": (discover().flow("flights"), read_timeline(6_000).records(0)),
}
for name, (flow, events) in feeds.items():
    fed = FedUnit(flow, list(islice(events, 12_000)))
    for log in fed.logs:  # every third event is traced from outside
        for stored in log[::3]:
            stored.headers["traceparent"] = b"00-" + b"4bf9" * 8 + b"-" + b"00f0" * 4 + b"-01"
    plain = type(build("one", ["def one() -> int:", "    return 1"], {}))
    for codec in fed.plan.subjects().values():
        codec.register()
        both = codec.encode, codec.decode_compiled
        assert {isinstance(one, plain) for one in both} <= {not sys.argv[1:]}, codec.subject
    unit, digest, count = fed._unit, hashlib.sha256(), 0
    for left in [500] * 24:  # a transaction each
        while left:
            left -= take_for_a_moment(unit, fed._merge, left, NO_LIMIT)
        for output in unit.flush():
            if ".model." not in output[0]:  # signed with a key of this process
                digest.update(repr(output).encode())
                count += 1
    print(name, count, digest.hexdigest())
"""

# What is near to a value of ours is taken or refused as Python does, and what no long can hold is.
STRICT = """
import sys
from pathlib import Path
from ops.compiled import compile_texts, prefer
from schemas import generated
assert prefer(Path(sys.argv[1]))
from tests.streams.test_compiled_decoder import ARRIVAL, DEPARTURE, NUMBERS, WEATHER
from tests.streams.test_compiled_decoder import codec_of, mistakes
codec_of(NUMBERS)
compile_texts(dict(generated.texts), Path(sys.argv[1]))
for record in (ARRIVAL, DEPARTURE, WEATHER, NUMBERS):
    codec = codec_of(record)
    assert type(codec.encode).__module__.startswith("doa_generated_")
    assert codec.decode_compiled(codec.encode(record)) == record
    print(mistakes(codec, codec.encode(record)))
codec = codec_of(NUMBERS)
for at in (-1, 0, 63, 64, -65, 8_191, 8_192, 1 << 34, (1 << 63) - 1, -1 << 63):
    odd = NUMBERS.model_copy(update={"at_ms": at})
    assert codec.encode(odd) == codec.encode_plainly(odd)
    assert codec.decode_compiled(codec.encode(odd)) == odd
    print(mistakes(codec, codec.encode(odd)))
for at in (1 << 63, (-1 << 63) - 1, 1 << 70):
    try:
        print(codec.encode(NUMBERS.model_copy(update={"at_ms": at})))
    except OverflowError as error:
        print(int(str(error) != f"{at} does not fit into an Avro long"))
"""


def written(*place: str, script: str = WRITTEN) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, *place],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_compiled_modules_write_the_same_bytes(tmp_path: Path) -> None:
    assert not prefer(tmp_path / "none")
    place = compile_hot(tmp_path / "made")
    assert compile_hot(place) == place, "it is there"
    packages = "processors", *BENCHED
    assert compile_codecs(packages, place) == len(codec_texts(packages)) > 50
    assert compile_codecs(packages, place) == 0, "they are there"
    plain = written()
    assert [line.split()[0] for line in plain] == ["hop", "keyed", "flights"]
    assert int(plain[0].split()[1]) > 12_000, "a feature for each reading, and state"
    assert written(str(place)) == plain
    assert written(str(place), script=STRICT) == ["0"] * 17
    assert not list(tmp_path.glob("making.*"))
