"""The profiler of torch or torch_npu in a window (`autoinstr ctl window --profile`).

It runs from the first step of the window to the last one, beside the ranges. It collects all
threads of the process, because only then may another thread than the one that started it stop it:
elsewhere torch crashes. A profiler of the program has priority."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from autoinstr.base import log
from autoinstr.base.guard import contain_errors
from autoinstr.base.system import calls, open_descriptor

if TYPE_CHECKING:
    from autoinstr.agent.session import Session


class WindowProfile:
    """One profile. No method raises, and each may be called again without effect."""

    def __init__(self, session: Session, number: int) -> None:
        """Import what the profiler needs: `start` runs between two steps of the program."""
        self._session = session
        self._number = number
        self._profiler: Any = None
        self._is_running = False
        self._make = self._find_maker()

    @contain_errors("preparing the profile of a window")
    def _find_maker(self) -> Any:
        """Return a function that makes the profiler; None if there is none that can be used."""
        if "torch_npu" in sys.modules:
            return self._make_npu_profiler
        import torch.profiler
        from torch._C._profiler import _ExperimentalConfig

        try:
            config = _ExperimentalConfig(profile_all_threads=True)
        except TypeError:
            event = "no profile in the window: this torch cannot stop one from another thread"
            log.write_once("window profile", "warning", event, torch=torch.__version__)
            return None
        return lambda: torch.profiler.profile(experimental_config=config)

    def _make_npu_profiler(self) -> Any:
        profiler = sys.modules["torch_npu"].profiler
        folder = os.path.dirname(self._find_path())
        return profiler.profile(on_trace_ready=profiler.tensorboard_trace_handler(folder))

    @contain_errors("starting the profiler of a window")
    def start(self) -> None:
        """Start the profiler, in the thread that runs the steps."""
        if self._make is None or self._profiler is not None:
            return
        if self._session.profilers.has_own:
            event = "no profile in the window: another profiler runs"
            log.write_once("window profiler", "warning", event)
            self._make = None
            return
        profiler = self._make()
        profiler.start()
        self._profiler, self._is_running = profiler, True

    @contain_errors("stopping the profiler of a window")
    def stop(self) -> None:
        """Stop the profiler."""
        if self._is_running:
            self._is_running = False
            self._profiler.stop()

    @contain_errors("saving the profile of a window")
    def save(self) -> None:
        """Write the trace into the run directory, with the mode of recordings."""
        profiler, self._profiler = self._profiler, None
        if profiler is None or "torch_npu" in sys.modules:  # torch_npu writes its folder itself
            return
        path = self._find_path()
        mode = self._session.config.mode
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        calls.close(open_descriptor(path, flags, mode))
        profiler.export_chrome_trace(path)

    def _find_path(self) -> str:
        """Return the path of the trace. Reports find it by its ending."""
        writer = self._session.recorder.writer
        stem = os.path.splitext(writer.path)[0] if writer is not None else "window"
        return f"{stem}-window-{self._number}.pt.trace.json.gz"
