"""Reads the number and name of the calling thread without changing what `threading` knows."""

from __future__ import annotations

import _thread
import threading


def identify_thread() -> tuple[int, str]:
    """Return the operating system's number and the name of this thread.

    A function of `threading` would register a foreign thread, which the program could see.
    """
    thread = threading._active.get(_thread.get_ident())  # type: ignore[attr-defined]
    return _thread.get_native_id(), thread.name if thread is not None else "foreign"
