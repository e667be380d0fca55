"""An instant as a person gives it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from streams.errors import StreamsError


class BadInstant(StreamsError):
    """A text that is no time."""


def instant_ms(text: str, said: str = "") -> int:
    """Milliseconds since 1970 of a number of them, or of an ISO 8601 time, in UTC if it names no
    zone. `said` is what the user wrote, for the error: BadInstant.

    >>> instant_ms("2013-03-01")
    1362096000000
    >>> instant_ms("2013-03-01T00:00-05:00") - instant_ms("1362096000000")
    18000000
    """
    if re.fullmatch(r"\d{1,15}", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInstant(
            f"{said or text}: neither ms since 1970 nor an ISO 8601 time, as 2013-03-01T12:00"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(int(moment.timestamp() * 1_000), 0)
