"""A backtest of a flow on the cluster: for `doa backtest`, and for notebooks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from ops.backtest.compare import Comparison, Told, compare
from ops.connect import Connection
from ops.verify import CannotVerify, partitions_of
from streams.plan import Plan
from streams.scratch import ScratchRegistry
from streams.topology import Flow


def backtest(
    connection: Connection,
    flow: Flow,
    *,
    since_ms: int = 0,
    progress: Callable[[int], None] = lambda at_ms: None,
    told: Told = lambda record: None,
) -> Comparison:
    """Run a flow, changed or not, on the input that it really took, and compare what it writes with
    what is in its streams from an event time on; see `compare`. Nothing is written anywhere.
    CannotVerify where it has not run.
    """
    registry = ScratchRegistry(connection.registry)
    plan = Plan(flow, registry, connection.settings.namespace, connection.keys)
    partitions = partitions_of(connection, plan)
    with closing(connection.cluster.log()) as log:
        found = compare(plan, log, partitions, since_ms=since_ms, progress=progress, told=told)
    if not found.codes:
        raise CannotVerify(f"{flow.name} has not run yet: its journal is empty")
    return found
