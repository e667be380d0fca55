"""What a flow wrote, beside what its journal gives when it is done again."""

from __future__ import annotations

from streams.driver import APPENDED_MS, Driver
from streams.journal import replay_journal
from streams.merge import Stored

Logs = dict[str, list[Stored]]


def held(driver: Driver) -> Logs:
    """All that a flow of one partition wrote, by topic."""
    inputs = {one.topic for one in driver.plan.inputs}
    return {topic: log for (topic, _), log in driver.logs.items() if topic not in inputs}


def redone(driver: Driver) -> Logs:
    """The same, from its inputs and its journal alone."""
    logs: Logs = {}
    for _, outputs in replay_journal(driver.plan, driver, 0, 1):
        for topic, key, value, headers in outputs:
            log = logs.setdefault(topic, [])
            data = key.encode() if isinstance(key, str) else key
            log.append(Stored(len(log), data, value, dict(headers), APPENDED_MS))
    return logs
