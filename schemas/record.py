"""What a record is: the base class of every record, and the declaration of the stream it lives in.

A stream is one pydantic class. Its fields carry doc, unit, bounds and sensitivity; its `Stream`
carries topic, key, event-time field, owner and retention. The Avro schema, the topic and the
registry subject are all derived from it, so that nothing about a stream is said twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import attrgetter, is_
from typing import Any, ClassVar, Literal

import pydantic
from pydantic_avro.to_avro.base import AvroBase

from schemas.fill import Fill, first_fill, refuse

STAGES = ("event", "feature", "prediction", "example", "model", "signal", "alert")
TOPIC_PATTERN = re.compile(rf"[a-z][a-z0-9_]*\.({'|'.join(STAGES)})\.[a-z][a-z0-9_]*")

LET_GO: Any = is_  # takes a record and a value, and does nothing, at the speed of C

Sensitivity = Literal["public", "internal", "personal"]


@dataclass(frozen=True)
class Stream:
    """Where the records of one class live, and under which promises.

    Parameters
    ----------
    topic
        `<domain>.<stage>.<noun>`, lower case and singular, without a namespace.
    key
        The field whose text is the Kafka key; records of one key keep their order.
    event_time
        The field that says when the record became true, in ms since 1970-01-01 UTC.
    owner
        Who answers for this stream.
    unique
        An event's identifying field: a second event with the same value within `unique_days` is a
        dead letter.
    ahead_hours_max
        An event later than its append time plus this is a dead letter, before it can move time.
    """

    topic: str
    key: str
    event_time: str
    owner: str
    partitions: int = 1
    retention_days: int = 3650
    compacted: bool = False
    unique: str | None = None
    unique_days: int = 3
    ahead_hours_max: int = 24

    @property
    def domain(self) -> str:
        """The first part of the topic: `flights`."""
        return self.topic.split(".")[0]

    @property
    def stage(self) -> str:
        """The second part of the topic: `event`, `feature`, ..."""
        return self.topic.split(".")[1]

    @property
    def subject(self) -> str:
        """The registry subject of the topic's values."""
        return f"{self.topic}-value"


def field(
    doc: str,
    *,
    unit: str | None = None,
    sensitivity: Sensitivity = "public",
    default: Any = ...,
    **bounds: Any,
) -> Any:
    """Declare a field of a record: its doc, the unit of what it measures, and its bounds.

    `bounds` are pydantic's own (`ge`, `le`, `pattern`, `max_length`, ...). `default=None` makes it
    nullable.

    >>> class Hop(Record):
    ...     "One hop."
    ...     distance: float = field("Great-circle distance.", unit="mile", ge=0, le=6_000)
    >>> Hop(distance=17.5).distance
    17.5
    """
    extra: dict[str, pydantic.JsonValue] = {"unit": unit, "sensitivity": sensitivity}
    return pydantic.Field(default, description=doc, json_schema_extra=extra, **bounds)


class Record(AvroBase):
    """A frozen value with typed, bounded fields; with `stream=` it is what a topic holds."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )

    stream: ClassVar[Stream | None] = None
    _fill: ClassVar[Fill] = refuse  # takes the fields of most new records; see `schemas.fill`

    # What pydantic keeps of each instance of a model is the same for all records of a class: they
    # have all their fields, no others, and nothing private. So it is read from the class (the set
    # of names is one for all of them), and what is set is let go.
    _names: ClassVar[set[str]] = set()
    _nothing: ClassVar[None] = None
    __pydantic_fields_set__ = property(attrgetter("_names"), LET_GO)
    __pydantic_extra__ = property(attrgetter("_nothing"), LET_GO)
    __pydantic_private__ = property(attrgetter("_nothing"), LET_GO)

    # The value of a record of a stream, kept by its codec: such a record is encoded once, though it
    # may also stand in others (a feature in an example) and in what is remembered. So nothing in it
    # may be changed, no list either.
    __slots__ = ("_value",)

    def __init__(self, /, **fields: Any) -> None:
        if not self.__class__._fill(self, fields):
            super().__init__(**fields)

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # it checks no more

    def __init_subclass__(cls, *, stream: Stream | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.stream = stream
        cls._fill = first_fill(cls)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        if names := ", ".join(cls.__private_attributes__):
            raise TypeError(f"{cls.__name__}: {names}: a record holds its fields, which are public")
        if cls.model_config.get("extra") != "forbid":
            raise TypeError(f"{cls.__name__}: a record holds its fields and nothing else")
        if cls.stream is not None and not cls.model_config.get("frozen"):
            raise TypeError(f"{cls.__name__}: what is in a stream does not change: it is no State")
        cls._names = set(cls.model_fields)


class State(Record):
    """What a fold remembers under one key; not frozen, for folds that are declared `in_place`."""

    model_config = pydantic.ConfigDict(frozen=False)
