"""What a unit writes to: one stream, and how far it has come there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.codec import Codec

if TYPE_CHECKING:
    from streams.step import Step

# A record to be written to the unit's partition of a topic: topic, key, value, headers.
Output = tuple[str, str | bytes | None, bytes | None, list[tuple[str, bytes]]]


class Edge:
    """One stream that a step writes, and the count of what it wrote there."""

    __slots__ = ("codec", "key", "n", "name", "place", "readers", "topic")

    def __init__(self, name: str, topic: str, key: str, codec: Codec, place: bytes) -> None:
        self.name = name
        self.topic = topic
        self.key = key
        self.codec = codec
        self.place = place
        self.n = 0
        self.readers: list[Step] = []
