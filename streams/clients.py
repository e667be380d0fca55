"""Kafka's client library as the rest of us wants it: its configuration, errors and records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)

from streams.errors import BrokerError, Evicted, Fenced, OutcomeUnknown
from streams.merge import Merge, Stored
from streams.settings import Settings

# The same as to call the class, which is once more a call of Python.
new_tuple: Final = tuple.__new__
FULL_WAIT_S = 0.01  # how long to serve a producer when its queue is full
END: Final = KafkaError._PARTITION_EOF
FIRST = OFFSET_BEGINNING  # the first record that retention has left
FENCED_CODES = {
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
MOVING_CODES = {  # why a group's coordinator or a topic's leader does not answer now, but soon
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}


class translated:  # noqa: N801 (reads as a word: `with translated("commit"):`)
    """Turn Kafka's exceptions into ours."""

    def __init__(self, verb: str) -> None:
        self.verb = verb

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        if not isinstance(error, KafkaException):
            return
        cause = error.args[0]
        text = f"{self.verb}: {cause.str()} ({cause.name()})"
        if _is_evicted(cause):
            raise Evicted(text) from error
        if cause.code() in FENCED_CODES:
            raise Fenced(text) from error
        if cause.code() == KafkaError._TIMED_OUT:
            raise OutcomeUnknown(text) from error
        raise BrokerError(text) from error


def moves(error: BrokerError) -> bool:
    """Whether the broker that was asked does not answer now, but soon, or another one."""
    cause = error.__cause__
    return isinstance(cause, KafkaException) and cause.args[0].code() in MOVING_CODES


class Callbacks:
    """Keeps the errors of what a consumer calls back: one that is raised within `consume` loses
    what that has fetched, and with it the news that the consumer has ended for good.
    """

    def __init__(self) -> None:
        self._error: Exception | None = None

    def __call__(self, verb: str, function: Callable[..., None]) -> Callable[..., None]:
        def called(*arguments: Any) -> None:
            try:
                with translated(verb):
                    function(*arguments)
            except Exception as error:
                self._error = self._error or error

        return called

    def check(self) -> None:
        """Raise the first that was kept."""
        error, self._error = self._error, None
        if error is not None:
            raise error


def _is_evicted(cause: KafkaError) -> bool:
    """Whether a static member lost its place: of a consumer, librdkafka says so only in the text of
    a fatal error.
    """
    if cause.code() == KafkaError.FENCED_INSTANCE_ID:
        return True
    return bool(cause.code() == KafkaError._FATAL and "Static consumer fenced" in cause.str())


def deliver(
    fetched: Iterable[Any], merges: Mapping[int, Merge], sources: Mapping[str, int]
) -> None:
    """Hand what a consumer has fetched to the merges of its partitions, if there are any; then
    raise what came with it, first what ends the consumer for good: librdkafka tells of that once,
    and gives nothing any more.
    """
    failed = []
    for one in fetched:
        error, merge = one.error(), merges.get(one.partition())
        if error is None:
            if merge is not None:
                merge.push(sources[one.topic()], stored_of(one))
        elif error.code() != END:
            failed.append(error)
        elif merge is not None:
            merge.reached(sources[one.topic()], one.offset())
    if failed:
        ended = (error for error in failed if error.code() == KafkaError._FATAL)
        with translated("consume"):
            raise KafkaException(next(ended, failed[0]))


def result_of(future: Any) -> Any:
    """What an admin client's future holds. Its error is raised as a copy: the future's own would
    hold it, and all that its callers' frames hold, in a cycle. A client in there would be destroyed
    by the thread that next collects garbage; where that is one of librdkafka's, it ends the process
    (confluent-kafka-python #2131).
    """
    error = future.exception()
    if error is not None:
        raise type(error)(*error.args)
    return future.result()


def answered(futures: Mapping[TopicPartition, Any]) -> dict[tuple[str, int], int]:
    """The offsets that a broker was asked to list. BrokerError where it gave none: a question that
    timed out may end without an error, and with an offset that is none.
    """
    found = {(p.topic, p.partition): result_of(future).offset for p, future in futures.items()}
    for (topic, partition), offset in found.items():
        if offset < 0:
            raise BrokerError(
                f"list_offsets: the broker did not say where {topic}[{partition}] ends"
            )
    return found


def topic_ids(admin: Any, topics: Iterable[str], timeout_s: float) -> dict[str, str]:
    """The ids of topics; one that is deleted and made anew has another (KIP-516)."""
    with translated("describe_topics"):
        asked = admin.describe_topics(TopicCollection(list(topics)), request_timeout=timeout_s)
        return {name: str(result_of(future).topic_id) for name, future in asked.items()}


def places(starts: Mapping[tuple[str, int], int]) -> list[TopicPartition]:
    """Partitions, each with an offset (or a time), as Kafka's client wants them."""
    return [TopicPartition(topic, partition, at) for (topic, partition), at in starts.items()]


def put(
    producer: Any, topic: str, value: bytes | None, key: Any, partition: int, **options: Any
) -> None:
    """Hand a record to a producer; while its queue is full, serve it."""
    while True:
        try:
            producer.produce(topic, value, key, partition, **options)
            return
        except BufferError:
            producer.poll(FULL_WAIT_S)


def stored_of(fetched: Any) -> Stored:
    """What was fetched as a record."""
    try:
        headers = fetched.headers()
    except (SystemError, UnicodeDecodeError):  # a header's name may be any bytes; such are not ours
        headers = None
    known = {name: value or b"" for name, value in headers} if headers else {}  # it may be null
    fields = fetched.offset(), fetched.key(), fetched.value(), known, fetched.timestamp()[1]
    return new_tuple(Stored, fields)


def base_config(bootstrap: str, settings: Settings) -> dict[str, Any]:
    """What every client needs to reach the cluster."""
    base: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "security.protocol": settings.security_protocol,
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "logger": _silent(),
    }
    if settings.sasl_mechanism is not None:
        base["sasl.mechanism"] = settings.sasl_mechanism
        base["sasl.username"] = settings.sasl_username
        password = settings.sasl_password
        base["sasl.password"] = password.get_secret_value() if password else ""
    if settings.ssl_ca_location is not None:
        base["ssl.ca.location"] = settings.ssl_ca_location
    return base


def _silent() -> Any:
    """Librdkafka's log lines go to the logger `doa.kafka`, which shows warnings only when asked
    to.
    """
    import logging

    logger = logging.getLogger("doa.kafka")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # or Python prints what nobody asked for
    return logger
