"""The hop that engines are compared by: peers in Python do the same work as ours."""

from __future__ import annotations

from itertools import islice

from ops.bench.engines import ENGINES
from ops.bench.hop.processors import hop
from ops.bench.hop.records import Feature, Reading
from ops.bench.readings import readings
from ops.bench.unit import peers_work
from streams.codec import MemoryRegistry
from streams.driver import Driver
from streams.plan import Plan
from streams.topology import discover
from streams.validation import checked

RECORDS = 1_000


def test_peers_write_the_bytes_that_we_write() -> None:
    work = peers_work()
    plan = Plan(discover(["ops.bench.hop"]).flow("hop"), MemoryRegistry())
    source, target = plan.codec(Reading), plan.codec(Feature)
    first = next(readings())
    assert 80 <= len(source.encode(first)) <= 100, "as large as those that engines are known by"
    target.encode(hop(first)[0])
    assert target.prefix == work.PREFIX, "the registry of this test gives ids by order"
    for reading in islice(readings(), RECORDS):
        [feature] = hop(reading)
        assert work.hop(source.encode(reading)) == target.encode(feature)


def test_flow_writes_one_feature_for_each_reading() -> None:
    some = list(islice(readings(), 3))
    driver = Driver(discover(["ops.bench.hop"]).flow("hop")).run(some)
    assert driver.read(Feature) == [hop(reading)[0] for reading in some]
    assert [feature.number for feature in driver.read(Feature)] == [0, 1, 2]


def test_hop_among_many_streams_writes_what_it_writes_alone() -> None:
    some, flow = list(islice(readings(), 3)), checked(discover(["ops.bench.wide"])).flow("wide")
    assert len(flow.inputs) + len(flow.written) == 200
    driver = Driver(flow).run(some)
    assert driver.read(Feature) == [hop(reading)[0] for reading in some]


def test_keyed_hop_takes_the_noise_before() -> None:
    first, other, second = islice(readings(sensors=2), 3)
    driver = Driver(checked(discover(["ops.bench.keyed"])).flow("keyed")).run(
        [first, other, second]
    )
    assert driver.read(Feature) == [
        hop(first)[0],
        hop(other)[0],
        hop(second.model_copy(update={"noise": first.noise}))[0],
    ]


def test_each_engine_says_what_it_promises() -> None:
    exactly = {name for name, engine in ENGINES.items() if engine.guarantee == "exactly once"}
    assert exactly == {"doa", "quix_exactly_once", "kafka_streams_exactly_once"}
