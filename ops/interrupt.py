"""A wish to end that is not lost."""

from __future__ import annotations

import signal


class Interrupt:
    """Ctrl-C, or other signals. They are raised at once, and again at the next look: where a
    library has called back, an exception may end unheard.
    """

    def __init__(self, *numbers: signal.Signals) -> None:
        self.asked = False
        for number in numbers or (signal.SIGINT,):
            signal.signal(number, self)

    def __call__(self, *_: object) -> None:
        """Be asked."""
        self.asked = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if asked."""
        if self.asked:
            raise KeyboardInterrupt
