"""Coins are counted and entered in a book; some of them once it is mended."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.record import Record, Stream, field
from streams.processor import fold, hours, transform

BROKEN = False


class Coin(Record, stream=Stream("coins.event.coin", "purse", "at_ms", "me", unique="name")):
    """A coin goes into a purse."""

    name: str = field("Name.")
    purse: str = field("The purse.")
    at_ms: int = field("When.", unit="ms", ge=0)
    amount: int = field("How much.")


class Seen(Record, stream=Stream("coins.feature.seen", "purse", "at_ms", "me")):
    """A coin was seen."""

    name: str = field("Name.")
    purse: str = field("The purse.")
    at_ms: int = field("When.", unit="ms", ge=0)


class Entry(Seen, stream=Stream("coins.feature.entry", "purse", "at_ms", "me")):
    """A coin was entered."""


class Total(Record, stream=Stream("coins.feature.total", "purse", "at_ms", "me")):
    """What a purse holds."""

    purse: str = field("The purse.")
    at_ms: int = field("When.", unit="ms", ge=0)
    coins: int = field("How many.")
    amount: int = field("How much.")


class Sum(Record):
    """What a purse holds so far."""

    purse: str = field("The purse.")
    coins: int = field("How many.")
    amount: int = field("How much.")


@transform(reads=Coin, writes=Seen)
def sees(coin: Coin) -> Iterable[Seen]:
    """See a coin."""
    yield Seen(name=coin.name, purse=coin.purse, at_ms=coin.at_ms)


@transform(reads=Coin, writes=Entry)
def enters(coin: Coin) -> Iterable[Entry]:
    """Enter a coin."""
    if BROKEN and coin.amount % 4 == 0:
        raise ZeroDivisionError("what a bug")
    yield Entry(name=coin.name, purse=coin.purse, at_ms=coin.at_ms)


@fold(reads=Entry, writes=Total, state=Sum, key="purse", expires=hours(1))
def adds(state: Sum | None, entry: Entry) -> tuple[Sum, list[Total]]:
    """Add a coin."""
    coins, amount = (state.coins, state.amount) if state else (0, 0)
    worth = len(entry.name)
    return Sum(purse=entry.purse, coins=coins + 1, amount=amount + worth), []


@adds.expired
def close(state: Sum, at_ms: int) -> list[Total]:
    """Say what the purse holds."""
    return [Total(purse=state.purse, at_ms=at_ms, coins=state.coins, amount=state.amount)]
