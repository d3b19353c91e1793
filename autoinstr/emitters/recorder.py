"""The recorder: the embedded emitter, which writes a recording that reports are made from."""

from __future__ import annotations

import _thread
import os
import sys
import threading
import time
from array import array
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.guard import raised_by_a_signal_handler
from autoinstr.base.module_name import wording
from autoinstr.base.process_facts import version_of
from autoinstr.recording import format as f
from autoinstr.recording.writer import RecordingFull, RecordingWriter

if TYPE_CHECKING:
    from autoinstr.base.module_name import ModuleName

Begun = tuple[
    int, Any, int, int, int
]  # name, words (a recording's, or what takes stores like them), indices of name, start and end

# What our own code may raise. Not every Exception: one that a signal handler of the program raises
# here is the program's.
_OURS = (OSError, ValueError, TypeError, AttributeError, KeyError, RuntimeError)

# Where stores go that nobody wants: name, words, and the indices of name, start and end.
_NOWHERE: Begun = (0, memoryview(array("Q", (0, 0, 0))), 0, 1, 2)


class Recorder:
    """Opens the recording at the first range and gives threads their blocks. After a failure it
    stays off: `next_record` gives records that nobody reads."""

    nowhere = _NOWHERE
    wants_fields = False  # they are stored when a range has ended

    def __init__(
        self,
        open_writer: Callable[[], RecordingWriter],
        failed: Callable[[BaseException], None],
        domain: str = "Module",
        message: Callable[[ModuleName], str] = wording("path:class"),
    ) -> None:
        """`open_writer` creates the recording (OSError where it cannot); `failed` is told once why
        the recorder is off; `message` words a module's range."""
        self.local = _thread._local()
        self.domain = domain
        self._message = message
        self.writer: RecordingWriter | None = None
        self.now_and_then: Callable[[], None] | None = None  # called whenever a name is defined
        self._open_writer = open_writer
        self._failed = failed
        self._off = False
        self._state = f.STATE_OFF
        self._names = 0
        self._modules: dict[tuple[str, ModuleName], int] = {}
        self._messages: dict[tuple[str, str, str], int] = {}
        self._facts: list[dict[str, Any]] = []
        self._lock = threading.RLock()

    def open(self) -> RecordingWriter | None:
        """The recording, created if there is none yet; None once the recorder is off."""
        writer = self.writer
        if writer is None and not self._off:
            with self._lock:
                if self.writer is None and not self._off:
                    try:
                        self.writer = self._open_writer()
                        self.writer.set_state(self._state)
                        for fact in self._facts:
                            self._write(self.writer, fact)
                    except _OURS as error:
                        if raised_by_a_signal_handler(error):
                            raise
                        self._switch_off(error)
                writer = self.writer
        return None if self._off else writer

    def next_record(self) -> tuple[memoryview[int], int, int, int]:
        """The calling thread's next free record: its words and the indices of name, start and
        end."""
        local = self.local
        try:
            next_record, words = local.slots
            return (words, *next_record())
        except (AttributeError, IndexError):
            pass
        writer = self.open()
        if writer is None:
            return _NOWHERE[1:]
        try:
            if not hasattr(local, "thread"):
                index = writer.new_thread(*_this_thread())
                if not hasattr(local, "thread"):
                    local.thread, local.blocks = index, 0
            before = local.blocks
            slots = writer.slots(local.thread, before)
            if local.blocks == before:
                local.blocks, local.slots = before + 1, slots
            # else a signal handler has called modules meanwhile: its block is the later one, and a
            # thread's blocks are in order of time
            next_record, words = local.slots
            return (words, *next_record())
        except (RecordingFull, IndexError):
            return _NOWHERE[1:]
        except OSError as error:
            if raised_by_a_signal_handler(error):
                raise
            self._switch_off(error)
            return _NOWHERE[1:]

    def begin_module(self, name: int) -> Begun:
        """A module's range begins in this thread."""
        return (name, *self.next_record())

    def begin(
        self,
        domain: str,
        message: str,
        fields: dict[str, Any] | None = None,
        on_stream: bool = False,
        crossing: bool = False,
        marked: str = "",
    ) -> Begun:
        """A range that is no module's begins in this thread; its fields are stored when it has
        ended."""
        name = self.define("range", domain, message)
        return (name, *self.next_record()) if name else _NOWHERE

    def name_module(self, name: ModuleName) -> int:
        """Number of a module's name in this recording; 0 where it cannot be recorded."""
        message = self._message(name)
        number = self._modules.get((message, name))
        if number is not None:
            return number
        fields = {"root": name.root, "path": name.path, "cls": name.cls, "module": name.module}
        number = self._modules[message, name] = self._define(
            ("range", self.domain, message), fields
        )
        return number

    def _define(self, key: tuple[str, str, str], fields: dict[str, Any]) -> int:
        writer = self.open()
        if writer is None:
            return 0
        with self._lock:
            self._names += 1
            number = self._names
        kind, domain, message = key
        try:
            writer.define(
                {
                    "t": "name",
                    "id": number,
                    "kind": kind,
                    "domain": domain,
                    "message": message,
                    **fields,
                }
            )
        except RecordingFull:
            number = 0
        except OSError as error:
            if raised_by_a_signal_handler(error):
                raise
            self._switch_off(error)
            return 0
        if not fields:
            self._messages[key] = number
        if self.now_and_then is not None:
            self.now_and_then()
        return number

    def define(self, kind: str, domain: str, message: str) -> int:
        """Number of the name of a range or mark (`kind`) that is no module's; 0 where it cannot be
        recorded."""
        number = self._messages.get((kind, domain, message))
        return self._define((kind, domain, message), {}) if number is None else number

    def annotate(self, thread: int, name: int, start_ns: int, fields: dict[str, Any]) -> None:
        """Store fields with one range or mark; dropped without a word where the recording is
        full."""
        writer = self.writer
        if writer is not None and name > 0 and not self._off:
            try:
                writer.annotate(thread, name, start_ns, fields)
            except RecordingFull:
                pass

    def mark(
        self,
        domain: str,
        message: str,
        fields: dict[str, Any] | None = None,
        on_stream: bool = False,
    ) -> None:
        """An instant event, now, in this thread."""
        name = self.define("mark", domain, message)
        words, i, j, k = self.next_record()
        words[i] = name
        words[j] = words[k] = now = time.perf_counter_ns()
        if fields:
            self.annotate(getattr(self.local, "thread", 0), name, now, fields)

    def add(self, domain: str, message: str, fields: dict[str, Any]) -> None:
        """What is known of a range only at its end: annotate() has it."""

    def update_header(self, **fields: Any) -> None:
        """Add to the recording's header (roles, rank), if there is a recording."""
        if self.writer is not None and not self._off:
            self._write(self.writer, {"t": "meta", **fields})

    def tell(self, fact: dict[str, Any]) -> None:
        """A definition for every recording of this process: the one that is open, one that will be,
        a forked child's."""
        with self._lock:
            self._facts.append(fact)
            if self.writer is not None and not self._off:
                self._write(self.writer, fact)

    @staticmethod
    def _write(writer: RecordingWriter, definition: dict[str, Any]) -> None:
        try:
            writer.define(definition)
        except (OSError, RecordingFull):
            pass  # the recording's end is near; its own failure is said elsewhere

    def set_active(self, active: bool) -> None:
        """Shown by `autoinstr ctl status`."""
        self._state = f.STATE_ON if active else f.STATE_OFF
        if self.writer is not None:
            self.writer.set_state(self._state)
            self.writer.clock_pair()

    def reset_in_child(self) -> None:
        """After fork: the parent's recording is left alone, this process starts its own at its
        first range."""
        writer, self.writer = self.writer, None
        self.local.__dict__.clear()
        self._names = 0
        self._modules.clear()
        self._messages.clear()
        self._lock = threading.RLock()
        if writer is not None:
            writer.abandon_in_child()

    def close(self) -> None:
        """The process ends in order."""
        if self.writer is not None and not self._off:
            self.writer.close()
        self._off = True

    def _switch_off(self, error: BaseException) -> None:
        self._off = True
        self._failed(error)


def _this_thread() -> tuple[int, str]:
    """The operating system's number and the name of the calling thread; asks nothing that would
    register a foreign thread with `threading`."""
    thread = threading._active.get(_thread.get_ident())  # type: ignore[attr-defined]
    return _thread.get_native_id(), thread.name if thread is not None else "foreign"


def open_in(folder: str, header: dict[str, Any], **options: Any) -> RecordingWriter:
    """Create this process's recording in a run directory. OSError where that fails; `options` are
    RecordingWriter's."""
    name = f"{os.uname().nodename.split('.')[0]}-{os.getpid()}-{os.urandom(4).hex()}{f.SUFFIX}"
    return RecordingWriter(os.path.join(folder, name), header, **options)


def loaded_versions() -> dict[str, str]:
    """Versions of what this process has loaded, read from the modules alone."""
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in ("torch", "torch_npu", "vllm", "vllm_ascend", "transformers"):
        version = version_of(name)
        if version is not None:
            versions[name] = version
    return versions
