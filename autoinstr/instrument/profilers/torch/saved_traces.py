"""The traces that the option `profiler` saves with on_trace_ready.

Kineto saves each trace once. A program that exports the same trace would get an error that it does
not get without the agent. So it gets a copy of the saved file. A second export of the program stays
an error.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.guard import contain_errors, log_failure
from autoinstr.base.system import call_without_signals, calls, open_descriptor
from autoinstr.instrument.frames import hide_frame
from autoinstr.instrument.profilers.replace import replace

if TYPE_CHECKING:
    from types import ModuleType


class SavedTraces:
    """Saves traces and remembers where."""

    def __init__(self, module: ModuleType) -> None:
        """`module` is torch.profiler.profiler."""
        self._module = module
        self._saving: set[Any] = set()  # torch.autograd profilers whose trace is being saved
        # Profiler -> its results (each cycle of a schedule has its own), and the file. Weak
        # references keep neither alive.
        self._files: weakref.WeakKeyDictionary[Any, tuple[weakref.ref[Any], str]] = (
            weakref.WeakKeyDictionary()
        )

    def make_handler(self, folder: str) -> Callable[[Any], None]:
        """Return a function that writes each finished profile into a file of its own."""
        write_trace = self._module.tensorboard_trace_handler(folder)

        @contain_errors("writing a trace (on_trace_ready)")
        def save_trace(profiler: Any) -> None:
            self._saving.add(profiler.profiler)
            try:
                write_trace(profiler)
            finally:
                self._saving.discard(profiler.profiler)

        return save_trace

    def apply(self) -> None:
        """Wrap the function through which all classes of torch.profiler save a trace."""

        def make(original: Any) -> Any:
            @hide_frame
            def export_chrome_trace(self_: Any, path: Any, *args: Any, **kwargs: Any) -> object:
                # The export in Python writes as often as it is asked.
                by_python = kwargs.get("use_python_export", args[1:2] == (True,))
                if not by_python and isinstance(path, str) and self._copy_file(self_, path):
                    return None
                result = original(self_, path, *args, **kwargs)
                self._remember_file(self_, path)
                return result

            return export_chrome_trace

        replace(self._module.prof.profile, "export_chrome_trace", make)

    def _remember_file(self, profiler: Any, path: str) -> None:
        if profiler in self._saving and profiler.kineto_results is not None:
            self._files[profiler] = weakref.ref(profiler.kineto_results), path

    @contain_errors("copying a trace (on_trace_ready)")
    def _copy_file(self, profiler: Any, path: str) -> bool:
        """Copy the saved file of these results to `path`; return False if there is none.

        A copy that fails logs a line: Kineto's own export prints one too if it cannot write.
        """
        if profiler in self._saving:
            return False
        results, file = self._files.pop(profiler, (None, ""))
        if results is None or results() is None or results() is not profiler.kineto_results:
            return False
        try:
            _copy(file, f"{path}.tmp")
            calls.replace(f"{path}.tmp", path)
        except OSError as error:
            log_failure(f"copying {file} to {path}", error)
        return True


def _copy(source: str, target: str) -> None:
    """Copy a file. Raises OSError."""
    reading = open_descriptor(source, os.O_RDONLY)
    try:
        writing = open_descriptor(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            while part := calls.read(reading, 1 << 20):
                while part:
                    part = part[call_without_signals(calls.write, writing, part) :]
        finally:
            calls.close(writing)
    finally:
        calls.close(reading)
