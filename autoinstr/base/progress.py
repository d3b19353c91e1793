"""Says on stderr how far a report is, once it takes long enough to wonder."""

from __future__ import annotations

import time
from typing import TextIO

TERMINAL_AFTER_S = 0.5
LOG_AFTER_S = 2.0
TERMINAL_EVERY_S = 0.1
LOG_EVERY_S = 10.0
BAR = 20  # columns


class Progress:
    """Counts records, or what `unit` says, of which there are at most `total` (0: nobody knows);
    use `tick` as the callback of a report and `done` after it. A terminal gets one line that is
    rewritten, with a bar where the total is known, anything else a line now and then."""

    def __init__(
        self, stream: TextIO | None, what: str, unit: str = "ranges", total: int = 0
    ) -> None:
        self._stream = stream
        self._what = what
        self._unit = unit
        self._total = total
        self._terminal = stream is not None and stream.isatty()
        self._started = time.monotonic()
        self._next = self._started + (TERMINAL_AFTER_S if self._terminal else LOG_AFTER_S)
        self._shown = False
        self.count = 0

    def tick(self, count: int) -> None:
        """So many more were read."""
        self.count += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + (TERMINAL_EVERY_S if self._terminal else LOG_EVERY_S)
            self._say(
                f"autoinstr: {self._what}: {self._how_far()}{self.count:,} {self._unit}, {now - self._started:.0f} s"
            )

    def _how_far(self) -> str:
        if not self._total:
            return ""
        part = min(self.count / self._total, 1.0)
        bar = "#" * round(BAR * part)
        return (
            f"[{bar:-<{BAR}}] {100 * part:.0f} %, " if self._terminal else f"{100 * part:.0f} %, "
        )

    def done(self) -> None:
        """Leave no line behind on a terminal."""
        if self._terminal and self._shown:
            self._write("\r\x1b[K")

    def _say(self, line: str) -> None:
        self._shown = True
        self._write(f"\r{line}\x1b[K" if self._terminal else line + "\n")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None  # nobody listens any more: the report goes on
