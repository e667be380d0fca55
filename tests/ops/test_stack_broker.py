"""The embedded stack with its real Kafka and registry: up, down, up, killed, up, wiped."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ops.stack import Endpoints, Stack
from ops.stack.progress import Silence

pytestmark = pytest.mark.broker

TOPIC = "test.event.stack"
SCHEMA = '"string"'


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    # The jars come from the user's cache: a test must not download 200 MB that are there already.
    stack = Stack(tmp_path / "home with a blank")
    yield stack
    stack.down()
    stack.wipe()


def write(endpoints: Endpoints) -> int:
    """Write one record and register one schema; return the schema's id."""
    admin = AdminClient({"bootstrap.servers": endpoints.bootstrap})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(10)
    producer = Producer({"bootstrap.servers": endpoints.bootstrap, "acks": "all"})
    producer.produce(TOPIC, b"value", b"key")
    assert producer.flush(10) == 0
    answer = ask(endpoints, "POST", f"/subjects/{TOPIC}-value/versions", {"schema": SCHEMA})
    return int(answer["id"])


def read(endpoints: Endpoints) -> tuple[bytes | None, bytes | None]:
    """Read the first record of the topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": endpoints.bootstrap,
            "group.id": "test",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([TOPIC])
    record = consumer.poll(10)
    assert record is not None and record.error() is None
    consumer.close()
    return record.key(), record.value()


def ask(
    endpoints: Endpoints, method: str, path: str, body: dict[str, str] | None = None
) -> dict[str, str]:
    address, _, base = endpoints.registry_url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=10)
    headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    connection.request(method, f"/{base}{path}", json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    assert answer.status == 200
    content: dict[str, str] = json.loads(answer.read())
    connection.close()
    return content


def listening(pids: set[int | None]) -> set[str]:
    """The addresses that these processes listen on."""
    addresses = {
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.pid in pids and connection.status == psutil.CONN_LISTEN and connection.laddr
    }
    return {address.removeprefix("::ffff:") for address in addresses}


def test_servers_listen_on_loopback_and_keep_data_and_ports_when_they_are_stopped_or_killed(
    stack: Stack,
) -> None:
    endpoints = stack.up(Silence())
    pids = {stack.status().kafka.pid, stack.status().registry.pid}
    assert listening(pids) == {"127.0.0.1"}
    schema_id = write(endpoints)

    begun = time.monotonic()
    assert stack.up(Silence()) == endpoints
    assert time.monotonic() - begun < 1.0
    assert {stack.status().kafka.pid, stack.status().registry.pid} == pids

    assert stack.down()
    assert not stack.status().up
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)

    assert stack.up(Silence()) == endpoints
    assert read(endpoints) == (b"key", b"value")
    assert ask(endpoints, "GET", f"/schemas/ids/{schema_id}")["schema"] == SCHEMA

    for server in (stack.status().kafka, stack.status().registry):
        assert server.pid is not None
        psutil.Process(server.pid).kill()
        psutil.Process(server.pid).wait(5)
    assert not stack.status().up

    assert stack.up(Silence()) == endpoints
    assert read(endpoints) == (b"key", b"value")
    assert ask(endpoints, "GET", f"/schemas/ids/{schema_id}")["schema"] == SCHEMA
    assert stack.down()
    stack.wipe()
    assert stack.status().kafka.port is None


def test_start_that_was_killed_is_finished_by_the_next(stack: Stack) -> None:
    script = (
        "import sys; from pathlib import Path; from ops.stack import Stack;"
        "Stack(Path(sys.argv[1])).up()"
    )
    command = [sys.executable, "-c", script, str(stack.home)]
    starter = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while stack.status().kafka.pid is None and time.monotonic() < deadline:
        time.sleep(0.05)
    starter.kill()
    starter.wait()
    pid = stack.status().kafka.pid
    assert pid is not None
    endpoints = stack.up(Silence())
    assert stack.status().kafka.pid == pid
    assert write(endpoints) > 0
