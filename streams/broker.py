"""The one door to Kafka: clients with every option that matters said, and a few verbs over them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

from streams.clients import MOVING_CODES, answered, base_config, moves, result_of, translated
from streams.errors import BrokerError, OutcomeUnknown
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.reader import KafkaLog

PASSING_PAUSE_S = 0.25
ASK_S_MAX = 5.0  # before another client asks where partitions end
RETRY_MS = 5  # twice as long each time: to add offsets while the last transaction is being marked
LINGER_MS = 100  # fewer, larger requests; a commit and a flush send what waits at once


class Cluster:
    """A Kafka cluster, reached as the settings say."""

    def __init__(self, bootstrap: str, settings: Settings) -> None:
        self.bootstrap = bootstrap
        self.settings = settings
        self._base = base_config(bootstrap, settings)
        self._admin: AdminClient | None = None
        self._askers: dict[str, Consumer] = {}

    def admin(self) -> AdminClient:
        """The admin client, made when first needed."""
        admin = self._admin  # which another thread may find useless meanwhile
        if admin is None:
            admin = self._admin = AdminClient(self._base)
        return admin

    def consumer(self, group: str, **options: Any) -> Consumer:
        """A read-committed consumer that commits nothing by itself and says where partitions
        end.
        """
        return Consumer(
            {
                **self._base,
                "group.id": group,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,
                "fetch.queue.backoff.ms": 10,
                "fetch.message.max.bytes": 262_144,
                "queued.max.messages.kbytes": 16_384,
                **options,
            }
        )

    def member(self, group: str, slot: int) -> Consumer:
        """The consumer of a flow: a static member of its group, so that a restart rejoins at
        once. Where it cannot go on it says so; to begin at the first record once more, as Kafka's
        clients do after a broker has forgotten something, would take all events twice.
        """
        return self.consumer(
            group,
            **{
                "auto.offset.reset": "error",
                "group.instance.id": f"{group}.{slot}",
                "session.timeout.ms": self.settings.session_timeout_ms,
                "heartbeat.interval.ms": self.settings.session_timeout_ms // 4,
                "partition.assignment.strategy": "range",
                "topic.metadata.refresh.interval.ms": 10_000,
            },
        )

    def producer(self, transactional_id: str | None = None) -> Producer:
        """An idempotent producer; with an id a transactional one, initialised, its predecessor
        fenced.
        """
        config: dict[str, Any] = {
            **self._base,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": LINGER_MS,
            "delivery.report.only.error": True,  # a commit waits for all; a call per record costs
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 500_000,
            "message.max.bytes": 16_000_000,  # a dead letter holds any value that came in
        }
        if transactional_id is None:
            return Producer(config)
        producer = Producer(
            {
                **config,
                "transactional.id": transactional_id,
                "linger.ms": min(LINGER_MS, self.settings.idle_commit_ms),
                "retry.backoff.ms": RETRY_MS,
                "transaction.timeout.ms": self.settings.transaction_timeout_ms,
            }
        )
        with translated("init_transactions"):
            producer.init_transactions(self.settings.commit_timeout_s)
        return producer

    def ends(
        self,
        partitions: Iterable[tuple[str, int]],
        *,
        committed: bool = False,
        timeout_s: float | None = None,
    ) -> dict[tuple[str, int], int]:
        """End offsets, open transactions included; or the last stable offsets, which they are not
        part of.
        """
        asked = {TopicPartition(t, p): OffsetSpec.latest() for t, p in partitions}
        if not asked:
            return {}
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        timeout = self.settings.request_timeout_s if timeout_s is None else timeout_s
        deadline, again = time.monotonic() + timeout, False
        while True:
            try:
                with translated("list_offsets"):
                    ask = partial(self.admin().list_offsets, isolation_level=level)
                    return answered(ask(asked, request_timeout=min(timeout, ASK_S_MAX)))
            except BrokerError as error:
                self._admin = None  # an old client goes on asking who is no leader any more, or yet
                passes = moves(error) or isinstance(error, OutcomeUnknown)
                if again and not (passes and time.monotonic() < deadline):
                    raise
            if again:
                time.sleep(PASSING_PAUSE_S)
            again = True

    def partitions(self) -> dict[str, int]:
        """All topics and their partition counts; BrokerError when the cluster does not answer."""
        with translated("list_topics"):
            topics = self.admin().list_topics(timeout=self.settings.request_timeout_s).topics
        return {name: len(t.partitions) for name, t in topics.items() if t.error is None}

    def answers(self) -> bool:
        """Whether a broker answers at all."""
        try:
            return bool(self.partitions())
        except BrokerError:
            return False

    def create(self, topics: dict[str, tuple[int, dict[str, str]]]) -> None:
        """Create topics: name -> (partitions, settings)."""
        replicas = self.settings.replication_factor
        new = [
            NewTopic(name, num_partitions=n, replication_factor=replicas, config=config)
            for name, (n, config) in topics.items()
        ]
        self._each(self.admin().create_topics(new) if new else {}, KafkaError.TOPIC_ALREADY_EXISTS)

    def settle(self, topics: dict[str, dict[str, str]]) -> None:
        """Set settings of topics, leaving their others alone."""
        resources = []
        kind, verb = ConfigResource.Type.TOPIC, AlterConfigOpType.SET
        for name, settings in topics.items():
            entries = [ConfigEntry(k, v, incremental_operation=verb) for k, v in settings.items()]
            resources.append(ConfigResource(kind, name, incremental_configs=entries))
        self._each(self.admin().incremental_alter_configs(resources) if resources else {})

    def delete(self, topics: Iterable[str]) -> None:
        """Delete topics, and wait until they are gone; their committed offsets go with them."""
        names = [t for t in topics if t in self.partitions()]
        if not names:
            return
        gone = KafkaError.UNKNOWN_TOPIC_OR_PART
        self._each(
            self.admin().delete_topics(names, operation_timeout=self.settings.request_timeout_s),
            gone,
        )
        deadline = time.monotonic() + self.settings.request_timeout_s
        while set(names) & set(self.partitions()):
            if time.monotonic() > deadline:
                raise BrokerError(f"topics are still there after deletion: {', '.join(names)}")
            time.sleep(0.05)

    def topic_settings(self, topics: Iterable[str]) -> dict[str, dict[str, str]]:
        """The settings of topics as the cluster has them."""
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics]
        with translated("describe_configs"):
            asked = self.admin().describe_configs(resources) if resources else {}
            return {r.name: {k: v.value for k, v in result_of(f).items()} for r, f in asked.items()}

    def committed(
        self, group: str, partitions: Iterable[tuple[str, int]]
    ) -> dict[tuple[str, int], int]:
        """How far a consumer group has come in these partitions, where it has committed at all.

        Asked as a consumer of the group that never joins it: the admin client, asked for the
        offsets of a group whose coordinator is not there yet, ends the process (librdkafka #5040).
        """
        asked = [TopicPartition(t, p) for t, p in partitions]
        if not asked:
            return {}
        if group not in self._askers:
            # `read_committed` would wait for open transactions, even for that of a dead worker.
            level = {"isolation.level": "read_uncommitted"}
            self._askers[group] = self.consumer(group, **level)
        deadline = time.monotonic() + self.settings.request_timeout_s
        with translated("committed"):
            while (found := self._asked(group, asked, deadline)) is None:
                time.sleep(PASSING_PAUSE_S)
        return {(p.topic, p.partition): p.offset for p in found if p.offset >= 0}

    def _asked(
        self, group: str, asked: list[TopicPartition], deadline: float
    ) -> list[TopicPartition] | None:
        """The answer, or None while the coordinator moves, which the client leaves to its user."""
        try:
            timeout = max(deadline - time.monotonic(), PASSING_PAUSE_S)
            found: list[TopicPartition] = self._askers[group].committed(asked, timeout)
            for p in found:
                if p.error is not None:
                    raise KafkaException(p.error)
        except KafkaException as error:
            if error.args[0].code() in MOVING_CODES and time.monotonic() < deadline:
                return None
            raise
        return found

    def members(self, group: str) -> dict[str, set[tuple[str, int]]]:
        """The static members of a group, by the name of their instance, and what each reads."""
        try:
            with translated("describe_consumer_groups"):
                timeout = self.settings.request_timeout_s
                asked = self.admin().describe_consumer_groups([group], request_timeout=timeout)
                found = result_of(asked[group])
        except BrokerError:
            self._admin = None  # an old client goes on looking for a coordinator that has gone
            raise
        return {
            str(one.group_instance_id): {
                (place.topic, place.partition) for place in one.assignment.topic_partitions
            }
            for one in found.members
        }

    def forget_group(self, group: str, wait_s: float) -> None:
        """Delete a consumer group; its static members leave only when their session ends, so this
        may wait.
        """
        deadline = time.monotonic() + wait_s
        passing = {KafkaError.NON_EMPTY_GROUP, KafkaError._TIMED_OUT, *MOVING_CODES}
        while True:
            try:
                timeout = self.settings.request_timeout_s
                deleted = self.admin().delete_consumer_groups([group], request_timeout=timeout)
                result_of(deleted[group])
                return
            except KafkaException as error:
                cause = error.args[0]
                if cause.code() == KafkaError.GROUP_ID_NOT_FOUND:
                    return
                if cause.code() == KafkaError._TIMED_OUT:
                    self._admin = None  # an old client goes on looking for one that has gone
                if cause.code() not in passing or time.monotonic() > deadline:
                    raise BrokerError(
                        f"group {group} cannot be forgotten ({cause.str()}); stop its workers first"
                    ) from error
            time.sleep(PASSING_PAUSE_S)

    def _each(self, futures: dict[Any, Any], *tolerated: int) -> None:
        for name, future in futures.items():
            try:
                result_of(future)
            except KafkaException as error:
                if error.args[0].code() not in tolerated:
                    raise BrokerError(f"{name}: {error.args[0].str()}") from error

    def log(self) -> KafkaLog:
        """Committed records, for restoring and looking back."""
        from streams.reader import KafkaLog

        return KafkaLog(self)
