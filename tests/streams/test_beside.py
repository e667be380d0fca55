"""What is done beside a loop gets the interpreter soon, and only as long as there is some."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from streams import beside as module
from streams.beside import SWITCH_S, beside

CALM_S, PATIENCE_S = 0.04, 10


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads that change seldom, and no work beside that another test has left."""
    monkeypatch.setattr(module, "_HURRY", module._Hurry())
    before = sys.getswitchinterval()
    sys.setswitchinterval(CALM_S)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("calm")
def test_threads_change_often_until_the_last_work_beside_has_ended() -> None:
    first, second = threading.Event(), threading.Event()
    one, other = beside("one", first.wait), beside("other", second.wait)
    started = beside("third", sys.getswitchinterval)
    assert started.result(PATIENCE_S) == pytest.approx(SWITCH_S)
    first.set()
    assert one.result(PATIENCE_S)
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    second.set()
    assert other.result(PATIENCE_S)
    assert sys.getswitchinterval() == pytest.approx(CALM_S)


@pytest.mark.usefixtures("calm")
def test_what_fails_leaves_threads_as_they_were() -> None:
    failed = beside("failed", int, "no number")
    with pytest.raises(ValueError, match="no number"):
        failed.result(PATIENCE_S)
    assert sys.getswitchinterval() == pytest.approx(CALM_S)
