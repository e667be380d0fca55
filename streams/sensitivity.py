"""How sensitive what a flow reads is, and texts that may quote it.

What is wrong with a record is often said by quoting it: a field that is too long, a key that
belongs elsewhere. Such a text is made safe here, and nowhere else, before anybody hears of it: by
`reason_of` (with its code) or `masked_text` where there is a mask, by `safe_text` where there is
none. A dead letter keeps the whole text, and its mask hides it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streams.errors import OUTAGES, DataError
from streams.masking import PUBLIC, Mask, hidden, kinds_in, strictest
from streams.topology import Flow, Topology, stream_of


def reason_of(error: Exception, *masks: Mask) -> str:
    """The code and the text of what is wrong with a record."""
    return f"{getattr(error, 'code', 'REGISTRY')}: {masked_text(error, *masks)}"


def masked_text(error: Exception, *masks: Mask) -> str:
    """The text of what is wrong with a record, without its code."""
    return safe_text(error, [mask.raw for mask in masks if mask.raw is not None])


def safe_text(said: Exception | str, kinds: Iterable[str]) -> str:
    """What an error says to those from whom fields of these sensitivities are hidden: the text, or
    what stands for it if it may quote one of them.

    >>> from streams.errors import OutOfBounds, UnknownSchema
    >>> safe_text(OutOfBounds("field name: it is 'Ada'"), ["public", "personal"])
    '‹personal›'
    >>> safe_text(UnknownSchema("the registry has no schema of id 7"), ["personal"])
    'the registry has no schema of id 7'
    """
    kind = strictest(kinds)
    quotes = said.quotes if isinstance(said, DataError) else not isinstance(said, OUTAGES)
    return hidden(kind) if quotes and kind != PUBLIC else str(said)


def kinds_read(flow: Flow) -> Iterator[str]:
    """How sensitive the fields are of all that a flow reads."""
    read = {stream_of(record): record for p in flow.steps for record in p.reads}
    return (kind for record in read.values() for kind in kinds_in(record))


def keys_of(topology: Topology) -> dict[str, tuple[str, ...]]:
    """How sensitive the keys of internal topics are: those of changelogs are made of fields of what
    a flow reads, whichever they are. So all kinds are kept: who may see one need not see another.
    """
    keys: dict[str, tuple[str, ...]] = {}
    for flow in topology.flows.values():
        internal = (flow.changelog, flow.redrive, flow.journal, flow.clock, flow.control)
        keys |= dict.fromkeys(internal, tuple(sorted(set(kinds_read(flow)))))
    return keys
