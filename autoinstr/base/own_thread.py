"""Threads of this package, which the program does not notice.

A thread is needed where nothing of the package runs in the program: while ranges are off, torch's
own functions are in place. A timer would need a signal, and signals are the program's.

- No signal is delivered to the thread: one that the program blocks or waits for stays pending.
- It is a thread of the interpreter even where the program has put others in their place, as gevent
  and eventlet do.
- `threading` does not list it."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _thread
import sys
from typing import Any, Callable

# The import hook took them at the start of the process, before the program could replace them.
_originals = sys.modules.get("autoinstr.instrument.importhook", _thread)
_start_new_thread: Callable[..., int] = getattr(
    _originals, "start_new_thread", _thread.start_new_thread
)
allocate_lock: Callable[[], Any] = getattr(_originals, "allocate_lock", _thread.allocate_lock)
make_reentrant_lock: Callable[[], Any] = getattr(_originals, "RLock", _thread.RLock)


def start_thread(function: Callable[..., object], *arguments: object) -> None:
    """Call the function in a new thread. Raises RuntimeError if there can be no more threads."""
    # A thread inherits the mask of the thread that starts it. So there is no moment in which the
    # new one takes a signal.
    previous_mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    try:
        _start_new_thread(function, arguments)
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, previous_mask)
