"""Timers against a plain heap of them."""

from __future__ import annotations

from heapq import heappop, heappush

from hypothesis import given
from hypothesis import strategies as st

from streams.timers import NEVER, Timer, Timers

timer = st.tuples(
    st.integers(-2, 5), st.sampled_from(["a", "b"]), st.integers(0, 1), st.integers(0, 1)
)


@given(st.lists(timer | st.none(), max_size=60))
def test_timers_fall_due_in_the_order_of_a_heap(
    does: list[tuple[int, str, int, int] | None],
) -> None:
    """None takes all that is due first."""
    timers, heap = Timers(), list[tuple[int, str, int, int]]()
    for one in [*does, *[None] * len(does)]:
        if one is not None:
            timers.add(*one)
            heappush(heap, one)
        elif heap:
            due: list[Timer] = []
            first = heap[0][0]
            while heap and heap[0][0] == first:
                due.append(heappop(heap)[1:])
            assert timers.pop() == due
        assert timers.next_ms == (heap[0][0] if heap else NEVER)
