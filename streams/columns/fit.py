"""Whether what was written by another type than ours can stand in a column as it is.

Arrow takes much that is something else by changing it: of 1.5 it makes the whole number 1, of a
text a list of its letters.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from streams.columns.vector import INSTANT_MAX, INSTANT_MIN

GIVEN: list[tuple[Any, set[type]]] = [  # kinds of columns, and the only classes that they take
    (pa.types.is_integer, {int}),
    (pa.types.is_timestamp, {int}),
    (pa.types.is_floating, {float, int}),
    (pa.types.is_struct, {dict}),
    (pa.types.is_map, {dict}),
    (pa.types.is_list, {list, tuple}),
]


def check_fit(cells: list[Any], kind: pa.DataType) -> None:
    """TypeError or ValueError for cells, or what is within them, of which Arrow would make
    something else, or that lie beyond all years. The rest is for Arrow to refuse.
    """
    given = [cell for cell in cells if cell is not None]
    found = set(map(type, given))
    for is_kind, taken in GIVEN:
        if is_kind(kind) and not found <= taken:
            [odd, *_] = sorted(one.__name__ for one in found - taken)
            raise TypeError(f"a value of type {odd} stands there")
    if pa.types.is_timestamp(kind):
        if given and not INSTANT_MIN <= min(given) <= max(given) <= INSTANT_MAX:
            raise ValueError("an instant lies before the year 1 or after 9999")
    elif pa.types.is_struct(kind):
        for field in kind:
            check_fit([cell.get(field.name) for cell in given], field.type)
    elif pa.types.is_map(kind):
        check_fit([one for cell in given for one in cell.values()], kind.item_type)
    elif pa.types.is_list(kind):
        check_fit([one for cell in given for one in cell], kind.value_type)
