"""How a long start is told to a person: bars on a terminal, a few plain lines on stderr otherwise.

Nothing is ever written to stdout, which belongs to the answer of the command.
"""

from __future__ import annotations

import sys
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

PLAIN_STEP_PERCENT = 20


class Progress(Protocol):
    """What `Stack.up` tells while it works."""

    def say(self, text: str) -> None:
        """Tell one step, as a line."""

    def advance(self, bytes_done: int, bytes_total: int) -> None:
        """Tell how much of the download is there."""

    def end(self) -> None:
        """Tell that the download has ended, whole or not."""


class Silence:
    """Tell nothing."""

    def say(self, text: str) -> None:
        """Drop the line."""

    def advance(self, bytes_done: int, bytes_total: int) -> None:
        """Drop the number."""

    def end(self) -> None:
        """Nothing to end."""


class PlainLines:
    """Write lines to a file that is not a terminal, a percentage only every 20 %."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._percent_told = 0

    def say(self, text: str) -> None:
        """Write one line."""
        print(text, file=self._file, flush=True)

    def advance(self, bytes_done: int, bytes_total: int) -> None:
        """Write a line when another fifth of the download is there."""
        percent = 100 * bytes_done // max(bytes_total, 1)
        percent -= percent % PLAIN_STEP_PERCENT
        if percent > self._percent_told:
            self._percent_told = percent
            self.say(f"downloaded {percent} % of {bytes_total / 1e6:.0f} MB")

    def end(self) -> None:
        """Nothing to end: every line was whole."""


class TerminalBars:
    """Draw one bar for the download, and print the other steps above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Bars | None = None
        self._task = TaskID(0)

    def say(self, text: str) -> None:
        """Print one line above the bar, if there is a bar."""
        self._console.print(text, highlight=False, markup=False)

    def advance(self, bytes_done: int, bytes_total: int) -> None:
        """Move the bar."""
        if self._bars is None:
            columns = (TextColumn("downloading"), BarColumn(), DownloadColumn())
            self._bars = Bars(*columns, TimeRemainingColumn(), console=self._console)
            self._task = self._bars.add_task("downloading", total=bytes_total)
            self._bars.start()
        self._bars.update(self._task, completed=bytes_done)

    def end(self) -> None:
        """Leave the bar as it is, and give the cursor back."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None


def stderr_progress() -> Progress:
    """Return bars if stderr is a terminal, else plain lines."""
    if sys.stderr.isatty():
        return TerminalBars(Console(stderr=True))
    return PlainLines(sys.stderr)
