"""Records of a stream, drawn at random."""

from __future__ import annotations

import random

from streams.merge import Stored
from streams.restore import Log


def sample(log: Log, topic: str, partitions: int, most: int, seed: int) -> list[tuple[int, Stored]]:
    """Up to so many records of a topic, each with its partition; all are as likely.

    References
    ----------
    Vitter: Random sampling with a reservoir (algorithm R). ACM TOMS 11 (1985).
    """
    chance = random.Random(f"{seed} {topic}")
    kept: list[tuple[int, Stored]] = []
    count = 0
    for partition in range(partitions):
        for stored in log.records(topic, partition):
            count += 1
            if len(kept) < most:
                kept.append((partition, stored))
            elif (at := chance.randrange(count)) < most:
                kept[at] = (partition, stored)
    return kept
