from __future__ import annotations

from types import SimpleNamespace

import pytest

from streams.assignment import starts_of, units_in
from streams.errors import BrokerError


def test_unit_that_lacks_an_input_is_refused_by_name() -> None:
    expected = (
        "partition 1 was assigned without left; all inputs of a flow need the same partition count "
        r"\(run: doa apply\)"
    )
    with pytest.raises(BrokerError, match=expected):
        units_in([("left", 0), ("right", 0), ("right", 1)], ["left", "right"])


def test_unit_that_has_state_but_no_offsets_does_not_take_everything_once_more() -> None:
    committed = [
        _committed("left", 0, 7),
        _committed("right", 0, -1001),
        _committed("left", 1, -1001),
        _committed("right", 1, -1001),
    ]
    expected = {("left", 0): 7, ("right", 0): 0, ("left", 1): 0, ("right", 1): 0}
    assert starts_of(committed, {0: 5, 1: 0}) == expected
    with pytest.raises(BrokerError, match=r"partition 1 has state.*\(run: doa reset\)"):
        starts_of(committed, {0: 5, 1: 5})


def _committed(topic: str, partition: int, offset: int) -> SimpleNamespace:
    return SimpleNamespace(topic=topic, partition=partition, offset=offset, error=None)
