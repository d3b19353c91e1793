"""Log one line if a call of the program takes long, while it still runs.

A short thread waits for the end of the call (own_thread.py). It ends with the call, or with the
line."""

from __future__ import annotations

from typing import Any

from autoinstr.base import log, own_thread

PATIENCE_SECONDS = 10.0


class SlowNotice:
    """Use it in a `with` statement around the call."""

    def __init__(self, event: str, **fields: object) -> None:
        """`event` and `fields` are those of the log line."""
        self._event = event
        self._fields = fields
        self._end_signal: Any = own_thread.allocate_lock()

    def __enter__(self) -> SlowNotice:
        self._end_signal.acquire()
        try:
            own_thread.start_thread(self._wait)
        except RuntimeError:
            pass  # there can be no more threads: no line
        return self

    def __exit__(self, *_: object) -> None:
        self._end_signal.release()

    def _wait(self) -> None:
        if not self._end_signal.acquire(timeout=PATIENCE_SECONDS):
            log.get_logger().warning(self._event, **self._fields)
