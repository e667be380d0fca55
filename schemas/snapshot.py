"""The envelope of a model's snapshot: what it is a cache of, and a tag over all of it.

A snapshot is one record, or several where the model is large: each holds a part of the payload,
the digest of the whole, and a tag of its own over all it says.

A flow declares one stream per learner, a class without fields of its own:
`class PlannedModel(Snapshot, stream=Stream("flights.model.planned", "key", "time_ms", OWNER))`.
"""

from __future__ import annotations

from schemas.record import Record, field

ALGORITHM = "hmac-sha256"


class Snapshot(Record):
    """A model as it was after an example, or a part of it; the payload is opened only when every
    tag has been verified.
    """

    key: str = field(
        "Learner, partition, generation modulo 2, and part: planned@0/1/0. So compaction keeps a "
        "snapshot and the one before it."
    )
    learner: str = field("The learner whose model this is.")
    partition: int = field("Partition whose examples were folded.", ge=0)
    time_ms: int = field("Event time at which it was taken.", unit="ms", ge=0)
    generation: int = field(
        "Counts the snapshots of this learner and partition; a later one replaces an earlier one.",
        ge=1,
    )
    version: int = field("Examples folded: the model is as it was before example #version.", ge=0)
    offset_hint: int = field(
        "An offset of the examples' topic at or before example #version; "
        "-1 when nothing is folded any more.",
        ge=-1,
    )
    code_version: str = field("Code that folded them.")
    algorithm: str = field("How the tag was made.")
    key_id: str = field("Which key made the tag.")
    python: str = field("Version of Python that pickled the payload.")
    river: str = field("Version of river that pickled the payload.")
    part: int = field("Which part of a payload that was cut this is, from 0.", ge=0, default=0)
    parts: int = field("Parts that the payload was cut into.", ge=1, default=1)
    payload_sha256: str = field(
        "Digest of the whole payload, hexadecimal.", pattern="^[0-9a-f]{64}$"
    )
    payload: bytes = field("This part of the pickled model.", sensitivity="internal")
    tag: bytes = field("HMAC over all the fields above.", sensitivity="internal")
