"""The real broker, started once for all tests that need one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.connect import Connection, connect
from ops.stack import Endpoints, Stack
from streams.settings import Settings

_namespaces = (f"t{os.getpid()}_{n}" for n in itertools.count())


@pytest.fixture(scope="session")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """A stack that lives as long as the tests do; DOA_TEST_HOME names one that is kept instead."""
    kept = os.environ.get("DOA_TEST_HOME")
    stack = Stack(Path(kept) if kept else tmp_path_factory.mktemp("stack"))
    yield stack.up()
    if not kept:
        stack.down()


@pytest.fixture
def connection(endpoints: Endpoints, tmp_path: Path) -> Iterator[Connection]:
    """The cluster, seen through a namespace and a home that no other test uses."""
    connection = connect(
        Settings(
            bootstrap=endpoints.bootstrap,
            registry_url=endpoints.registry_url,
            namespace=next(_namespaces),
            home=tmp_path,
        )
    )
    yield connection
    connection.registry.close()
