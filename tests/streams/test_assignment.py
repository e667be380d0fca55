from __future__ import annotations

import pytest

from streams.assignment import units_in
from streams.errors import BrokerError


def test_unit_that_lacks_an_input_is_refused_by_name() -> None:
    expected = (
        "partition 1 was assigned without left; all inputs of a flow need the same partition count "
        r"\(run: doa apply\)"
    )
    with pytest.raises(BrokerError, match=expected):
        units_in([("left", 0), ("right", 0), ("right", 1)], ["left", "right"])
