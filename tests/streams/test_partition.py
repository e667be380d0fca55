from __future__ import annotations

import pytest

from streams import partition
from streams.partition import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # org.apache.kafka.common.utils.UtilsTest
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_hash_is_that_of_the_java_client(data: bytes, expected: int) -> None:
    assert murmur2(data) == expected & 0xFFFFFFFF


def test_negative_hash_gives_a_partition() -> None:
    assert partition_of("foobar", 10) == (-790332482 & 0x7FFFFFFF) % 10


def test_long_key_is_not_remembered() -> None:
    before = partition._hash_short.cache_info().misses
    assert partition_of("k" * 65, 7) == (murmur2(b"k" * 65) & 0x7FFFFFFF) % 7
    assert partition._hash_short.cache_info().misses == before
    partition_of("k" * 64, 7)
    assert partition._hash_short.cache_info().misses == before + 1


def test_key_is_hashed_as_utf8() -> None:
    assert partition_of("Zürich", 1_000) == (murmur2("Zürich".encode()) & 0x7FFFFFFF) % 1_000
    assert {partition_of(key, 1) for key in ("", "a", "Zürich")} == {0}
