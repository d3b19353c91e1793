"""What a recording says about its process: facts, and whether ranges are on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base.own_thread import make_reentrant_lock
from autoinstr.emitters.compiled_range import CompiledRange
from autoinstr.recording import facts
from autoinstr.recording import format as f
from autoinstr.recording.block_writer import RecordingFull

if TYPE_CHECKING:
    from autoinstr.base.module_name import ModuleName
    from autoinstr.recording.writer import RecordingWriter


class RecordedFacts:
    """Writes facts into the recording, and again into a later one of this process.

    `writer` is the recording, if there is one by now."""

    def __init__(self) -> None:
        self.writer: RecordingWriter | None = None
        self._is_off = False
        self._state = f.STATE_OFF
        self._modules: dict[tuple[str, ModuleName], int] = {}
        self._messages: dict[tuple[str, str, str], int] = {}
        self._facts: list[dict[str, Any]] = []
        self._lock = make_reentrant_lock()

    def _write_all(self, writer: RecordingWriter) -> None:
        """Write the state and all facts into a new recording."""
        writer.set_state(self._state)
        for fact in self._facts:
            self._write(fact)

    def update_header(self, **fields: Any) -> None:
        """Add fields to the header of the recording, if there is one."""
        self._write(facts.make_meta(fields))

    def add_fact(self, fact: dict[str, Any]) -> None:
        """Write a definition into this process's recording, a later one, and a forked child's."""
        with self._lock:
            self._facts.append(fact)
            self._write(fact)

    def _write(self, definition: dict[str, Any]) -> None:
        if self.writer is None or self._is_off:
            return
        try:
            self.writer.define(definition)
        except (OSError, RecordingFull):
            pass  # the next range finds the same error, and that is logged

    def list_module_numbers(self) -> list[tuple[ModuleName, int]]:
        """Return name and number of the modules that have a name in the recording.

        Not included: kernels that several modules share, backwards, and second parts of a call."""
        numbers: list[tuple[ModuleName, int]] = []
        for key, number in list(self._modules.items()):
            if not isinstance(key, CompiledRange):
                numbers.append((key[1], number))
            elif not (key.is_backward or key.is_shared or key.is_part):
                numbers.append((key.modules[0], number))
        return numbers

    def list_message_numbers(self) -> list[tuple[tuple[str, str, str], int]]:
        """Return kind, domain, message and number of what is no module."""
        return list(self._messages.items())

    def store_steps(self, count: int) -> None:
        """Write how many steps the process has ended, for `autoinstr ctl window`."""
        if self.writer is not None:
            self.writer.words[f.H_STEPS] = count

    def store_window(
        self, state: int, span: tuple[int, int] | None = None, number: int | None = None
    ) -> None:
        """Write the state of a window, its first step and its end, and its number."""
        if self.writer is None:
            return
        words = self.writer.words
        if span is not None:
            words[f.H_WINDOW_FIRST], words[f.H_WINDOW_END] = span
        words[f.H_WINDOW_STATE] = state
        if number is not None:  # last: a reader then sees the rest
            words[f.H_WINDOW] = number

    def set_active(self, active: bool) -> None:
        """Write whether ranges are on, which `autoinstr ctl status` shows."""
        self._state = f.STATE_ON if active else f.STATE_OFF
        if self.writer is not None:
            self.writer.set_state(self._state)
            self.writer.store_clock_pair()
