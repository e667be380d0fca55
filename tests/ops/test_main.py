"""The entry of the command line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from ops import INTERRUPTED, __main__, cli, compiled


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """Leave Ctrl-C to pytest afterwards."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def ended(monkeypatch: pytest.MonkeyPatch, *, interrupted: bool) -> object:
    def main() -> None:
        try:
            if interrupted:
                signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            pass  # as C may, which then says something else
        raise TypeError("expected configuration property name")

    monkeypatch.setattr(sys, "argv", ["doa"])
    monkeypatch.setattr(compiled, "prefer", lambda: False)
    monkeypatch.setattr(cli, "main", main)
    with pytest.raises((SystemExit, TypeError)) as found:
        __main__.main()
    return found.value.code if isinstance(found.value, SystemExit) else -1


def test_interrupt_of_which_a_library_makes_another_error_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ended(monkeypatch, interrupted=True) == INTERRUPTED
    assert ended(monkeypatch, interrupted=False) == -1
