"""Which partition a key belongs to: Kafka's default (murmur2), so that producers in every language
agree.
"""

from __future__ import annotations

from functools import lru_cache

KEYS_CACHED_MAX, CACHED_CHARS_MAX = 65_536, 64
_MULTIPLIER, _MASK = 0x5BD1E995, 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 hash as Kafka's Java client computes it, unsigned.

    >>> murmur2(b"21") == (-973932308 & 0xFFFFFFFF)
    True

    References
    ----------
    org.apache.kafka.common.utils.Utils.murmur2
    """
    length = len(data)
    digest = (0x9747B28C ^ length) & _MASK
    for at in range(0, length - 3, 4):
        block = int.from_bytes(data[at : at + 4], "little") * _MULTIPLIER & _MASK
        block = (block ^ block >> 24) * _MULTIPLIER & _MASK
        digest = (digest * _MULTIPLIER & _MASK) ^ block
    tail = data[length & ~3 :]
    if tail:
        digest = (digest ^ int.from_bytes(tail, "little")) * _MULTIPLIER & _MASK
    digest = (digest ^ digest >> 13) * _MULTIPLIER & _MASK
    return digest ^ digest >> 15


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key; those of short keys are remembered.

    >>> [partition_of(airport, 4) for airport in ("EWR", "JFK", "LGA")]
    [3, 1, 0]
    """
    if partitions == 1:
        return 0
    return (_hash_short if len(key) <= CACHED_CHARS_MAX else _hash)(key) % partitions


def _hash(key: str) -> int:
    return murmur2(key.encode()) & 0x7FFFFFFF


_hash_short = lru_cache(KEYS_CACHED_MAX)(_hash)
