"""The recorder: the built-in emitter, which writes the recording that reports are made from."""

from __future__ import annotations

import _thread
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.guard import is_from_signal_handler
from autoinstr.base.module_name import make_message_format
from autoinstr.base.own_thread import make_reentrant_lock
from autoinstr.base.system import clocks
from autoinstr.emitters.compiled_range import CompiledNames
from autoinstr.emitters.range_slot import NULL_SLOT
from autoinstr.emitters.recorded_facts import RecordedFacts
from autoinstr.emitters.thread_identity import identify_thread
from autoinstr.recording import facts
from autoinstr.recording.block_writer import RecordingFull

if TYPE_CHECKING:
    from autoinstr.base.module_name import ModuleName
    from autoinstr.emitters.range_slot import RangeSlot
    from autoinstr.recording.writer import RecordingWriter

# The number of a name that the recording has no place for: its ranges are counted as dropped.
UNRECORDED = -1

# What internal code may raise. It is not every Exception: a signal handler of the program may raise
# here, and that exception belongs to the program.
_INTERNAL_ERRORS = (OSError, ValueError, TypeError, AttributeError, KeyError, RuntimeError)


class Recorder(RecordedFacts, CompiledNames):
    """Opens the recording at the first range and gives threads their blocks.

    After a failure it stays off, and only counts what it drops."""

    null_slot = NULL_SLOT
    wants_fields = False  # fields are stored after the end of a range

    def __init__(
        self,
        open_writer: Callable[[], RecordingWriter],
        report_failure: Callable[[BaseException], None],
        domain: str = "Module",
        format_message: Callable[[ModuleName], str] = make_message_format("path:class"),
    ) -> None:
        """`open_writer` creates the recording, or raises OSError.

        `report_failure` receives, once, the error that turned the recorder off. `format_message`
        returns the message of a module's range."""
        super().__init__()
        self.local = _thread._local()
        self.domain = domain
        self._format_message = format_message
        self.on_name_defined: Callable[[], None] | None = None
        self._open_writer = open_writer
        self._report_failure = report_failure
        self._name_count = 0

    def open(self) -> RecordingWriter | None:
        """Return the recording, and create it if there is none; None once the recorder is off."""
        writer = self.writer
        if writer is None and not self._is_off:
            with self._lock:
                if self.writer is None and not self._is_off:
                    try:
                        self.writer = self._open_writer()
                        self._write_all(self.writer)
                    except _INTERNAL_ERRORS as error:
                        if is_from_signal_handler(error):
                            raise
                        self._switch_off(error)
                writer = self.writer
        return None if self._is_off else writer

    def next_record(self) -> tuple[memoryview[int], int, int, int]:
        """Return this thread's next free record: its words, and the indices of name, start, end."""
        local = self.local
        try:
            next_record, words = local.slots
            return (words, *next_record())
        except (AttributeError, IndexError):
            pass
        writer = self.open()
        if writer is None:
            return self._drop_record()
        try:
            if not hasattr(local, "thread"):
                index = writer.new_thread(*identify_thread())
                if not hasattr(local, "thread"):
                    local.life, local.thread, local.blocks = writer.watch_thread(index), index, 0
            block_count = local.blocks
            slots = writer.allocate_slots(local.thread, block_count)
            if local.blocks == block_count:
                local.blocks, local.slots = block_count + 1, slots
            # Otherwise a signal handler has called modules meanwhile. Its block is the later one.
            next_record, words = local.slots
            return (words, *next_record())
        except (RecordingFull, IndexError):
            return self._drop_record()
        except OSError as error:
            if is_from_signal_handler(error):
                raise
            self._switch_off(error)
            return self._drop_record()

    def _drop_record(self) -> tuple[memoryview[int], int, int, int]:
        """Return this thread's next record that goes nowhere, and counts as dropped."""
        writer = self.writer
        if writer is None:
            return NULL_SLOT[1:]
        next_record, words = self.local.slots = writer.give_drop_slots()
        try:
            return (words, *next_record())
        except IndexError:  # other threads took them all
            writer.drop_range()
            return NULL_SLOT[1:]

    def _drop_unnamed(self) -> RangeSlot:
        """Count a range or mark whose name is not recorded."""
        if self.writer is not None:
            self.writer.drop_range()
        return NULL_SLOT

    def begin_module(self, name: int) -> RangeSlot:
        """Begin a module's range in this thread."""
        if name == UNRECORDED:
            # Not 0: the module has its one range, and its own __call__ may reach Module.__call__.
            return (1, *self._drop_unnamed()[1:])
        return (name, *self.next_record())

    def begin(
        self,
        domain: str,
        message: str,
        fields: dict[str, Any] | None = None,
        on_stream: bool = False,
        crossing: bool = False,
        marking_emitter: str = "",
    ) -> RangeSlot:
        """Begin a range that is not a module's in this thread.

        Its fields are stored after its end, with `annotate`. The other arguments matter only to
        tools."""
        name = self.define("range", domain, message)
        return (name, *self.next_record()) if name else self._drop_unnamed()

    def name_module(self, name: ModuleName) -> int:
        """Return the number of a module's name in this recording.

        UNRECORDED: it has no place there. 0: there is no recording."""
        message = self._format_message(name)
        number = self._modules.get((message, name))
        if number is not None:
            return number
        fields = facts.make_module_fields(*name)
        number = self._define(("range", self.domain, message), fields)
        if not number and self.writer is not None:
            number = UNRECORDED
        self._modules[message, name] = number
        return number

    def _define(self, key: tuple[str, str, str], fields: dict[str, Any]) -> int:
        writer = self.open()
        if writer is None:
            return 0
        with self._lock:
            self._name_count += 1
            number = self._name_count
        kind, domain, message = key
        try:
            writer.define(facts.make_name(number, kind, domain, message, fields))
        except RecordingFull:
            number = 0
        except OSError as error:
            if is_from_signal_handler(error):
                raise
            self._switch_off(error)
            return 0
        if not fields:
            self._messages[key] = number
        if number and self.on_name_defined is not None:
            self.on_name_defined()
        return number

    def define(self, kind: str, domain: str, message: str) -> int:
        """Return the number of a name that is no module's; 0: it cannot be recorded. `kind` is
        "range" or "mark"."""
        number = self._messages.get((kind, domain, message))
        return self._define((kind, domain, message), {}) if number is None else number

    def annotate(self, thread: int, name: int, start_ns: int, fields: dict[str, Any]) -> None:
        """Store fields with one range or mark; drop them if the recording is full."""
        writer = self.writer
        if writer is None:
            return
        if name <= 0 or self._is_off:
            return writer.drop_attributes()
        try:
            writer.annotate(thread, name, start_ns, fields)
        except RecordingFull:
            pass  # the writer has counted them
        except OSError as error:
            if is_from_signal_handler(error):
                raise
            self._switch_off(error)
            writer.drop_attributes()

    def mark(
        self,
        domain: str,
        message: str,
        fields: dict[str, Any] | None = None,
        on_stream: bool = False,
    ) -> None:
        """Write an instant event of this thread, now."""
        name = self.define("mark", domain, message)
        words, i, j, k = self.next_record() if name else self._drop_unnamed()[1:]
        words[i], now_ns = name, clocks.perf_counter_ns()
        words[j] = words[k] = now_ns
        if fields:
            self.annotate(getattr(self.local, "thread", 0), name, now_ns, fields)

    def write_late_fields(self, domain: str, message: str, fields: dict[str, Any]) -> None:
        """Do nothing: `annotate` stores the fields that are known at the end of a range."""

    def reset_in_child(self) -> None:
        """After fork: leave the parent's recording alone. The first range opens a new one."""
        writer, self.writer = self.writer, None
        self.local.__dict__.clear()
        self._name_count = 0
        self._modules.clear()
        self._messages.clear()
        self._lock = make_reentrant_lock()
        if writer is not None:
            writer.abandon_in_child()

    def close(self) -> None:
        """Close the recording at the end of the process."""
        if self.writer is not None and not self._is_off:
            self.writer.close()
        self._is_off = True

    def _switch_off(self, error: BaseException) -> None:
        self._is_off = True
        if self.writer is not None:
            self.writer.stop_growing()
        self._report_failure(error)
