"""Reading any topic, for people: a view that belongs to no group, commits nothing and disturbs nobody."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import TopicPartition

from streams.broker import END, Cluster, stored_of, translated
from streams.codec import Registry, decode_any
from streams.errors import BrokerError, DataError, RegistryError, StreamsError
from streams.lineage import HEADER, unpack_header
from streams.merge import Stored

FETCH_RECORDS = 500
HEX_BYTES_MAX = 64

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"^\s*([A-Za-z_][\w.]*)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*$")


class BadCondition(StreamsError):
    """A --where that does not parse."""


@dataclass(frozen=True)
class Seen:
    """One record as a person sees it: its id, or its offset if it came from outside; its value or what is wrong."""

    id: str
    offset: int
    key: str | None
    appended_ms: int
    value: dict[str, Any] | None
    parents: tuple[str, ...]
    processor: str | None
    model_version: int | None
    headers: dict[str, str]
    error: str | None = None
    hex: str | None = None


def condition(text: str) -> Callable[[dict[str, Any]], bool]:
    """Parse `FIELD OP LITERAL`; a record in which the field is null or of another kind does not match.

    >>> condition("delay_minutes >= 15")({"delay_minutes": 20.0})
    True
    >>> condition("origin = JFK")({"origin": "LGA"})
    False
    """
    match = _CONDITION.match(text)
    if match is None:
        raise BadCondition(
            f"--where {text!r} is not FIELD OP LITERAL with OP one of {' '.join(_OPERATORS)}, "
            "for instance: --where 'delay_minutes >= 15'"
        )
    name, symbol, literal = match.groups()
    compare, wanted = _OPERATORS[symbol], _literal(literal)

    def holds(value: dict[str, Any]) -> bool:
        found: Any = value
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if wanted is None or found is None:
            return (found is wanted) == (symbol == "=") and symbol in ("=", "!=")
        if isinstance(wanted, str) != isinstance(found, str):
            return False
        return bool(compare(found, wanted))

    return holds


def tap(
    cluster: Cluster,
    registry: Registry,
    topic: str,
    *,
    start: str = "end",
    follow: bool = True,
    names: dict[bytes, str] | None = None,
    idle: Callable[[], bool] = lambda: False,
) -> Iterator[Seen]:
    """Records of a topic as they come, partition by partition in order.

    `start` is `beginning`, `end`, `-N` (the last N of each partition) or `@TIME` (append time, ms or ISO 8601); without `follow` the
    reading ends where the topic ends now. `idle` is asked when nothing comes; True ends the reading.
    """
    count = cluster.partitions().get(topic)
    if count is None:
        raise BrokerError(
            f"there is no topic {topic!r}; doa graph lists the declared ones, doa apply makes them"
        )
    ends = cluster.ends([(topic, p) for p in range(count)])
    consumer = cluster.consumer("doa-tap")
    try:
        places = _places(cluster, consumer, topic, count, start, ends)
        consumer.assign(places)
        open_partitions = {
            p.partition for p in places if follow or p.offset < ends[(topic, p.partition)]
        }
        while open_partitions:
            messages = consumer.consume(FETCH_RECORDS, 0.1)
            if not messages and idle():
                return
            for message in messages:
                partition = message.partition()
                error = message.error()
                if error is not None and error.code() != END:
                    raise BrokerError(f"{topic}[{partition}]: {error.str()}")
                if error is None and (follow or message.offset() < ends[(topic, partition)]):
                    yield seen(topic, partition, stored_of(message), registry, names or {}, cluster)
                reached = message.offset() + (error is None)
                if not follow and reached >= ends[(topic, partition)]:
                    open_partitions.discard(partition)
    finally:
        consumer.close()


def seen(
    topic: str,
    partition: int,
    stored: Stored,
    registry: Registry,
    names: dict[bytes, str],
    cluster: Cluster,
) -> Seen:
    """Decode what can be decoded; the rest is shown as hex with the reason."""
    prefix = f"{cluster.settings.namespace}." if cluster.settings.namespace else ""
    place = f"{topic.removeprefix(prefix)}[{partition}]"
    identity, parents, processor, model = f"{place}@{stored.offset}", (), None, None
    packed = stored.headers.get(HEADER)
    if packed is not None:
        try:
            origin = unpack_header(packed, names)
            identity = f"{place}#{origin.n}"
            parents = tuple(map(str, origin.parents))
            processor, model = origin.processor, origin.model_version
        except ValueError:
            pass  # somebody else's header of the same name
    value, error, raw = None, None, None
    try:
        value = decode_any(registry, stored.value) if stored.value else None
    except (DataError, RegistryError) as reason:
        error = f"{getattr(reason, 'code', 'REGISTRY')}: {reason}"
        raw = (stored.value or b"")[:HEX_BYTES_MAX].hex()
    headers = {k: _text(v) for k, v in stored.headers.items() if k != HEADER}
    key = None if stored.key is None else _text(stored.key)
    return Seen(
        identity,
        stored.offset,
        key,
        stored.appended_ms,
        value,
        parents,
        processor,
        model,
        headers,
        error,
        raw,
    )


def _places(
    cluster: Cluster,
    consumer: Any,
    topic: str,
    count: int,
    start: str,
    ends: dict[tuple[str, int], int],
) -> list[TopicPartition]:
    if start == "beginning":
        return [TopicPartition(topic, p, 0) for p in range(count)]
    if start == "end":
        return [TopicPartition(topic, p, ends[(topic, p)]) for p in range(count)]
    if re.fullmatch(r"-\d+", start):
        return [
            TopicPartition(topic, p, _back(cluster, topic, p, -int(start))) for p in range(count)
        ]
    if start.startswith("@"):
        at_ms = _instant(start[1:])
        with translated("offsets_for_times"):
            asked = [TopicPartition(topic, p, at_ms) for p in range(count)]
            found = consumer.offsets_for_times(asked, cluster.settings.request_timeout_s)
        return [
            TopicPartition(
                topic, p.partition, p.offset if p.offset >= 0 else ends[(topic, p.partition)]
            )
            for p in found
        ]
    raise BadCondition(f"--from {start!r} is none of: beginning, end, -N, @TIME")


def _back(cluster: Cluster, topic: str, partition: int, wanted: int) -> int:
    """The offset of the last `wanted` records: transactions leave gaps, so look further back until there are enough."""
    end = cluster.ends([(topic, partition)])[(topic, partition)]
    log, reach = cluster.log(), wanted * 2 + 8
    try:
        while True:
            start = max(end - reach, 0)
            offsets = [stored.offset for stored in log.records(topic, partition, start)]
            if len(offsets) >= wanted or start == 0:
                return (
                    offsets[-wanted] if len(offsets) >= wanted and wanted else (offsets or [end])[0]
                )
            reach *= 4
    finally:
        log.close()


def _instant(text: str) -> int:
    from datetime import UTC, datetime

    if text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadCondition(f"--from @{text}: neither ms since 1970 nor an ISO 8601 time") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000)


def _literal(text: str) -> Any:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    words = {"null": None, "true": True, "false": False}
    if text in words:
        return words[text]
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "0x" + data.hex()
