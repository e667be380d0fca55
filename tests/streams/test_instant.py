from __future__ import annotations

import pytest

from streams.instant import BadInstant, instant_ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1357034400000", 1_357_034_400_000),
        ("2013-01-01T10:00:00", 1_357_034_400_000),
        ("2013-01-01T11:00:00+01:00", 1_357_034_400_000),
        ("2013-01-01", 1_356_998_400_000),
        ("1913-01-01", 0),
    ],
)
def test_time_is_ms_or_iso_and_in_utc_unless_it_says_otherwise(text: str, expected: int) -> None:
    assert instant_ms(text) == expected


@pytest.mark.parametrize("text", ["noon", "", "-5", "1357034400000.5", "9" * 20])
def test_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInstant) as caught:
        instant_ms(text, f"--from @{text}")
    assert str(caught.value) == (
        f"--from @{text}: neither ms since 1970 nor an ISO 8601 time, as 2013-03-01T12:00"
    )
