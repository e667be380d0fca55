"""A backtest of a flow on the cluster: for `doa backtest`, and for notebooks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from ops.backtest.compare import Comparison, Told, compare
from ops.connect import Connection
from ops.sensitive import may_see
from ops.verify import CannotVerify
from streams.plan import Plan
from streams.scratch import ScratchRegistry
from streams.snapshot import Keys
from streams.topology import Flow


def backtest(
    connection: Connection,
    flow: Flow,
    *,
    since_ms: int = 0,
    sensitive: bool = False,
    progress: Callable[[int], None] = lambda at_ms: None,
    check: Callable[[], None] = lambda: None,
    told: Told | None = None,
) -> Comparison:
    """Run a flow, changed or not, on the input that it really took, and compare what it writes with
    what is in its streams from an event time on; see `compare`. Nothing is written anywhere.
    CannotVerify where it has not run; NotAllowed where nothing sensitive may be seen.
    """
    seen = may_see(connection.settings, sensitive=sensitive)
    registry = ScratchRegistry(connection.registry)
    plan = Plan(flow, registry, connection.settings.namespace, Keys.generate())
    partitions = connection.cluster.partitions().get(plan.topic(flow.journal), 0)
    with closing(connection.cluster.log()) as log:
        found = compare(
            plan,
            log,
            partitions,
            registered=lambda topic: _ids(connection, f"{plan.topic(topic)}-value"),
            since_ms=since_ms,
            may_see=seen,
            progress=progress,
            check=check,
            told=told,
        )
    if not found.codes:
        raise CannotVerify(f"{flow.name} has not run yet: its journal is empty, or not there")
    return found


def _ids(connection: Connection, subject: str) -> list[int]:
    """Of the schemas that a subject has in the registry."""
    return [schema_id for _, schema_id, _ in connection.registry.versions(subject)]
