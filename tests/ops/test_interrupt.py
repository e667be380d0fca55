from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from ops.interrupt import Interrupt


@pytest.fixture
def interrupt() -> Iterator[Interrupt]:
    before = signal.getsignal(signal.SIGUSR1)
    yield Interrupt(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def test_interrupt_that_nobody_heard_is_raised_again(interrupt: Interrupt) -> None:
    interrupt.check()
    with pytest.raises(KeyboardInterrupt):  # as a library does that has called back
        os.kill(os.getpid(), signal.SIGUSR1)
    with pytest.raises(KeyboardInterrupt):
        interrupt.check()
