from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.errors import RegistryError
from streams.merge import NO_TIME, Input, Merge, Stored


def stored(offset: int, time_ms: int) -> Stored:
    return Stored(offset, None, str(time_ms).encode(), {})


def decode(source: int, record: Stored) -> Input:
    assert record.value is not None
    time_ms = int(record.value)
    return Input(source, record.offset, time_ms, time_ms, None, record.value, 0)


def merge_of(*horizons: int) -> Merge:
    return Merge(list(horizons), [0] * len(horizons), decode)


def taken(merge: Merge) -> list[tuple[int, int]]:
    """(source, event time) of all that can be taken now."""
    found = []
    while (item := merge.pop()) is not None:
        found.append((item.source, item.time_ms))
    return found


def test_empty_input_below_its_horizon_blocks() -> None:
    merge = merge_of(1, 1)
    merge.push(0, stored(0, 10))
    assert not merge.ready
    assert taken(merge) == []
    merge.push(1, stored(0, 5))
    assert merge.ready
    assert taken(merge) == [(1, 5), (0, 10)]


def test_end_of_partition_unblocks_where_markers_fill_the_log() -> None:
    merge = merge_of(1, 7)
    merge.push(0, stored(0, 10))
    merge.push(1, stored(2, 20))
    assert taken(merge) == [(0, 10), (1, 20)]
    merge.push(0, stored(1, 30))
    assert taken(merge) == []
    merge.reached(1, 7)
    assert taken(merge) == [(0, 30)]


def test_beyond_the_horizon_arrival_decides() -> None:
    merge = merge_of(1, 0)
    merge.push(0, stored(0, 10))
    assert taken(merge) == [(0, 10)]
    merge.push(1, stored(0, 5))
    assert taken(merge) == [(1, 5)]


def test_equal_times_go_by_rank() -> None:
    merge = merge_of(1, 1, 1)
    for source in (2, 0, 1):
        merge.push(source, stored(0, 10))
    assert taken(merge) == [(0, 10), (1, 10), (2, 10)]


def test_late_record_does_not_overtake_within_its_input() -> None:
    merge = merge_of(3, 1)
    for offset, time_ms in enumerate((10, 30, 5)):
        merge.push(0, stored(offset, time_ms))
    merge.push(1, stored(0, 20))
    assert taken(merge) == [(0, 10), (1, 20), (0, 30), (0, 5)]


def test_what_has_no_time_is_taken_as_soon_as_it_is_the_head() -> None:
    merge = merge_of(2, 1)
    merge.push(0, stored(0, 10))
    merge.push(0, stored(1, NO_TIME))
    merge.push(1, stored(0, 10))
    assert taken(merge) == [(0, 10), (0, NO_TIME), (1, 10)]


def test_counts_say_what_waits() -> None:
    merge = merge_of(5, 1)
    for offset in range(3):
        merge.push(0, stored(offset, 10 + offset))
    assert (merge.queued, merge.behind(0, 0), merge.behind(1, 0)) == (2, 5, 1)
    merge.push(1, stored(0, 11))
    assert merge.pop() is not None
    assert (merge.queued, merge.behind(0, 0), merge.behind(1, 4)) == (1, 4, 4)


TIMES = st.lists(st.integers(NO_TIME, 12), max_size=12)


@given(logs=st.lists(TIMES, min_size=1, max_size=4), data=st.data())
def test_order_does_not_depend_on_how_the_records_were_fetched(
    logs: list[list[int]], data: st.DataObject
) -> None:
    at_once = merge_of(*map(len, logs))
    for source, log in enumerate(logs):
        for offset, time_ms in enumerate(log):
            at_once.push(source, stored(offset, time_ms))
    expected = taken(at_once)
    assert len(expected) == sum(map(len, logs))

    in_pieces, order = merge_of(*map(len, logs)), []
    left = [list(enumerate(log)) for log in logs]
    while any(left):
        source = data.draw(st.sampled_from([s for s, rest in enumerate(left) if rest]))
        for _ in range(data.draw(st.integers(1, len(left[source])))):
            in_pieces.push(source, stored(*left[source].pop(0)))
        if data.draw(st.booleans()):
            order += taken(in_pieces)
    assert order + taken(in_pieces) == expected


def test_head_that_the_registry_does_not_know_yet_holds_up_all_inputs() -> None:
    away = [True]

    def asking(source: int, record: Stored) -> Input:
        if source == 1 and away:
            raise RegistryError("away")
        return decode(source, record)

    merge = Merge([0, 0], [0, 0], asking)
    merge.push(0, stored(0, 10))
    merge.push(1, stored(0, 5))
    merge.push(1, stored(1, 7))
    assert (merge.waits, merge.ready, merge.pop()) == ("outage: away", False, None)
    merge.retry()
    assert merge.waits == "outage: away"
    away.clear()
    merge.retry()
    assert merge.waits is None
    assert taken(merge) == [(1, 5), (1, 7), (0, 10)]
