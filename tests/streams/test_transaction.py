"""Which producer may write, and what one that was given up still proves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.errors import Fenced
from streams.settings import Settings
from streams.transaction import Transaction

RECORD: Any = ("topic", "key", b"value", [])
STRANGER = KafkaError.ILLEGAL_GENERATION
STATE = KafkaError._STATE
TAKEN = KafkaError._FENCED


class Producer:
    """Fails as it is told to, by the name of the call; notes the calls."""

    def __init__(self, **failures: int) -> None:
        self.failures, self.calls = failures, list[str]()

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failures:
            raise KafkaException(KafkaError(self.failures[name], name))

    def begin_transaction(self) -> None:
        self._call("begin")

    def produce(self, *_: Any, **__: Any) -> None:
        self._call("produce")

    def poll(self, _: float) -> None:
        """Serve nothing."""

    def send_offsets_to_transaction(self, *_: Any) -> None:
        self._call("send")

    def abort_transaction(self, _: float) -> None:
        self._call("abort")


def transaction(*producers: Producer) -> Transaction:
    left = list(producers)
    cluster: Any = SimpleNamespace(settings=Settings(), producer=lambda _: left.pop(0))
    found = Transaction(cluster, "flow.0")
    found.renew()
    return found


def test_given_up_producer_writes_nothing_more_and_is_not_aborted() -> None:
    old, new = Producer(), Producer()
    found = transaction(old, new)
    found.begin()
    found.write(0, [RECORD])
    found.give_up()
    found.abort()
    assert not found.open
    with pytest.raises(AssertionError, match="renewed"):
        found.write(0, [RECORD])
    found.renew()
    found.write(0, [RECORD])
    assert (old.calls, new.calls) == (["begin", "produce"], ["begin", "produce"])


@pytest.mark.parametrize(
    ("failures", "fenced"),
    [
        ({"send": TAKEN}, True),
        ({"send": STRANGER}, False),
        ({"begin": STATE, "abort": TAKEN}, True),  # one that is past asking, but may be aborted
        ({"begin": STATE, "abort": STATE}, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize("given_up", [False, True])
def test_only_the_brokers_word_proves_that_another_has_the_place(
    failures: dict[str, int], fenced: bool, given_up: bool
) -> None:
    found = transaction(Producer(**failures), Producer())
    if given_up:
        found._aborts_at = float("inf")
        found.give_up()
    if fenced:
        with pytest.raises(Fenced):
            found.prove([], None)
    else:
        found.prove([], None)
        found.renew()
        found.write(0, [RECORD])


def test_transaction_in_doubt_that_the_broker_has_timed_out_proves_nothing() -> None:
    found = transaction(Producer(send=TAKEN, abort=TAKEN))
    found.give_up()
    assert found._aborts_at == 0.0
    found.prove([], None)
