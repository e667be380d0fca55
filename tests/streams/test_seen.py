"""Ids that were seen, kept in pages."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.seen import HOUR_MS, PAGE_VALUES_MAX, Seen

PLAN: Any = SimpleNamespace(name="toy.event.tick", unique="id", unique_hours=2)


def tick(name: str) -> Any:
    return SimpleNamespace(id=name)


def first_sight(seen: Seen, record: Any, time_ms: int) -> bool:
    """Note an event that is not known; whether it was not."""
    known = seen.knows(seen.value_of(record), time_ms)
    if not known:
        seen.note(seen.value_of(record), time_ms)
    return not known


def test_hour_is_written_in_pages_of_which_only_the_last_changes() -> None:
    seen = Seen(PLAN)
    names = [f"n{i}" for i in range(PAGE_VALUES_MAX + 1)]
    assert all(first_sight(seen, tick(name), 5) for name in names)
    assert seen.flush(5) == [((0, 0), names[:-1]), ((0, 1), names[-1:])]
    assert first_sight(seen, tick("late"), 6)
    assert seen.flush(6) == [((0, 1), [names[-1], "late"])]
    assert seen.flush(6) == []


def test_what_was_restored_is_known_and_goes_on_in_its_last_page() -> None:
    seen = Seen(PLAN)
    seen.restore({(0, 1): ["c"], (0, 0): ["a", "b"]})
    assert [first_sight(seen, tick(name), 5) for name in "abcd"] == [False, False, False, True]
    assert seen.flush(5) == [((0, 1), ["c", "d"])]


def test_all_pages_of_an_hour_are_forgotten_and_its_ids_are_new_again() -> None:
    seen = Seen(PLAN)
    seen.restore({(0, 0): ["a"], (0, 1): ["b"]})
    later = 3 * HOUR_MS
    assert first_sight(seen, tick("a"), later)
    assert seen.flush(later) == [((3, 0), ["a"]), ((0, 0), None), ((0, 1), None)]
    assert not first_sight(seen, tick("a"), later)
    assert first_sight(seen, tick("b"), later)


def test_long_ids_make_a_page_full_before_its_time() -> None:
    seen = Seen(PLAN)
    for name in ("a" * 200_000, "b" * 200_000, "c"):
        first_sight(seen, tick(name), 0)
    assert [len(values or ()) for _, values in seen.flush(0)] == [2, 1]


names = st.sampled_from([letter * size for letter in "abcdef" for size in (1, 3)])
steps = st.lists(
    st.tuples(
        st.sampled_from(["note", "note", "note", "flush", "restore"]), names, st.integers(0, 2)
    ),
    max_size=80,
)


@given(steps)
def test_what_is_flushed_is_all_that_a_restored_one_needs(
    does: list[tuple[str, str, int]],
) -> None:
    """With pages of a few values, against a set of names by the hour."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.seen.PAGE_VALUES_MAX", 3)
        patch.setattr("streams.seen.PAGE_CHARACTERS_MAX", 6)
        seen, changelog, noted, time_ms = Seen(PLAN), {}, {}, 0
        for what, name, hours in does:
            time_ms += hours * HOUR_MS // 2
            hour = time_ms // HOUR_MS
            if what == "note":
                known = noted.get(name, -PLAN.unique_hours - 1) >= hour - PLAN.unique_hours
                assert first_sight(seen, tick(name), time_ms) is not known
                noted[name] = hour if not known else noted[name]
                continue
            for page, values in seen.flush(time_ms):
                changelog.pop(page, None)
                if values is not None:
                    changelog[page] = values.copy()
            for values in changelog.values():
                assert 0 < len(values) <= 3 and sum(map(len, values[:-1])) < 6
            if what == "restore":
                seen = Seen(PLAN)
                seen.restore({page: values.copy() for page, values in changelog.items()})
                assert seen.flush(time_ms) == []
