"""The flow `wide`: the hop among two hundred streams, of which the others are silent."""

from __future__ import annotations

STREAMS = 200  # the two of the hop included
