"""A plain Faust agent: reads the alerts of the flow `desk`, and publishes rebookings.

Guarantee: at least once. An agent that was killed may publish a rebooking again; the flow knows it
by its `unique` field, and a second one is a dead letter.
"""

from __future__ import annotations

from typing import Any

from ops.connect import connect
from ops.examples.agents.desk.records import LateAlert, Rebooking
from streams.app import Host, bridge, build_app, run_app
from streams.settings import Settings
from streams.topology import discover

MINUTES_PER_CASE = 5


def rebook_app(settings: Settings | None = None) -> Host:
    """The Faust app of this agent."""
    connection = connect(settings)
    topology = discover(("ops.examples.agents.desk",))
    app = build_app(
        "rebook", (), connection.cluster, connection.registry, topology, connection.settings
    )
    alerts = bridge(app, LateAlert)
    rebookings = bridge(app, Rebooking)

    @app.agent(alerts)
    async def rebook(late: Any) -> None:
        """Find other seats; a real one would ask a booking system here, and wait for its answer."""
        async for alert in late:
            booked_ms = alert.announced_ms + MINUTES_PER_CASE * 60_000
            await rebookings.send(
                value=Rebooking(airport=alert.airport, flight=alert.flight, booked_ms=booked_ms)
            )

    return app


if __name__ == "__main__":
    run_app(rebook_app())
