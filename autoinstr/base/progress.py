"""Show the progress of a report on stderr if it takes longer than a moment."""

from __future__ import annotations

import time
from typing import TextIO

TERMINAL_AFTER_S = 0.5
LOG_AFTER_S = 2.0
TERMINAL_EVERY_S = 0.1
LOG_EVERY_S = 10.0
BAR_COLUMNS = 20


class Progress:
    """Count records and show the count while a report is made.

    A terminal gets one line that is rewritten. A file or a pipe gets a line every LOG_EVERY_S."""

    def __init__(
        self, stream: TextIO | None, activity: str, unit: str = "ranges", total: int = 0
    ) -> None:
        """Show `activity` on `stream` (None: nowhere) and count in `unit`.

        `total` is an upper bound of the count, for the bar and the percentage; 0 means unknown.
        """
        self._stream = stream
        self._activity = activity
        self._unit = unit
        self._total = total
        self._is_terminal = stream is not None and stream.isatty()
        self._start = time.monotonic()
        self._next_output = self._start + (TERMINAL_AFTER_S if self._is_terminal else LOG_AFTER_S)
        self._has_output = False
        self.count = 0

    def tick(self, count: int) -> None:
        """Add `count` records, and show the progress if it is time to."""
        self.count += count
        if self._is_due():
            self._show(f"{self._format_share()}{self.count:,} {self._unit}, ")

    def report(self, state: str) -> None:
        """Show `state` in place of a count, if it is time to. It ends with a comma and a blank."""
        if self._is_due():
            self._show(state)

    def finish(self) -> None:
        """Clear the line on a terminal."""
        if self._is_terminal and self._has_output:
            self._write("\r\x1b[K")

    def _is_due(self) -> bool:
        """Return whether to show a line now, and if so, schedule the next one."""
        current_s = time.monotonic()
        if current_s < self._next_output:
            return False
        self._next_output = current_s + (TERMINAL_EVERY_S if self._is_terminal else LOG_EVERY_S)
        return True

    def _format_share(self) -> str:
        if not self._total:
            return ""
        share = min(self.count / self._total, 1.0)
        bar = "#" * round(BAR_COLUMNS * share)
        percentage = f"{100 * share:.0f} %, "
        return f"[{bar:-<{BAR_COLUMNS}}] {percentage}" if self._is_terminal else percentage

    def _show(self, state: str) -> None:
        self._has_output = True
        elapsed = time.monotonic() - self._start
        line = f"autoinstr: {self._activity}: {state}{elapsed:.0f} s"
        self._write(f"\r{line}\x1b[K" if self._is_terminal else line + "\n")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None  # the reader has closed the stream; the report goes on
