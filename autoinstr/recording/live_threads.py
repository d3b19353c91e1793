"""Knows which threads of the process have ended, so that a recording can use what they had.

A thread-local object dies with its thread. The callback of a weak reference to it is a C function,
because it runs wherever that happens."""

from __future__ import annotations

import weakref
from collections import deque


class _Life:
    """Lives as long as the thread that holds it in a thread-local variable."""

    __slots__ = ("__weakref__",)


class LiveThreads:
    """Threads by their index. Not thread-safe: the writer holds its lock."""

    def __init__(self) -> None:
        self.current_blocks: dict[int, int] = {}  # thread -> offset of the block it writes to
        self.free: list[int] = []  # ended threads without a block, whose index may be used again
        self._ended: deque[weakref.KeyedRef[int, _Life]] = deque()
        self._refs: dict[int, weakref.KeyedRef[int, _Life]] = {}
        self._block_counts: dict[int, int] = {}

    def watch(self, thread: int) -> object:
        """Return what the thread must hold until it ends."""
        life = _Life()
        self._refs[thread] = weakref.KeyedRef(life, self._ended.append, thread)
        return life

    def take_ended(self) -> None:
        """Forget the threads that have ended. They use no block any more."""
        while self._ended:
            thread = self._ended.popleft().key
            if self._refs.pop(thread, None) is not None:
                self.current_blocks.pop(thread, None)
                self._free_if_gone(thread)

    def add_block(self, thread: int, offset: int) -> None:
        """Note the block that a thread writes to from now on."""
        self.current_blocks[thread] = offset
        self._block_counts[thread] = self._block_counts.get(thread, 0) + 1

    def remove_block(self, thread: int) -> None:
        """Note that a block of a thread has been emptied."""
        count = self._block_counts.pop(thread, 0) - 1
        if count > 0:
            self._block_counts[thread] = count
        else:
            self._free_if_gone(thread)

    def _free_if_gone(self, thread: int) -> None:
        if thread not in self._refs and thread not in self._block_counts:
            self.free.append(thread)
