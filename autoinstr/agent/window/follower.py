"""Follows the windows in the control file: opens them, ends them, and shows their state.

All methods but the switch run in the thread of `agent/control_file.py`. The recording's header
shows the command how far the window is (recording/format.py)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable

from autoinstr.agent.window.profile import WindowProfile
from autoinstr.agent.window.step_window import ControlledWindow
from autoinstr.base import log
from autoinstr.base.system import clocks
from autoinstr.recording import format as f
from autoinstr.recording.window_words import parse_words

if TYPE_CHECKING:
    from autoinstr.agent.session import Session
    from autoinstr.recording.window_words import WindowWords

# Without a count of steps, a window begins and ends in the middle of a step where no step has ended
# for this time. It is longer than the command plans ahead (cli/window/plan.py).
UNALIGNED_S = 3.0


class WindowFollower:
    """The window of this process, if there is one. Errors are the caller's to contain."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._words: WindowWords | None = None  # of the last window, also after its end
        self._window: ControlledWindow | None = None
        self._profile: WindowProfile | None = None
        self._is_unaligned = False  # the window began in the middle of a step
        self._renewed_s = 0.0  # monotonic time of the last look at the control file
        self._step_count, self._progress_s = 0, 0.0  # the steps, and when they last changed

    def follow(self, content: bytes) -> None:
        """Take up what the control file asks for; the same content again extends the lease."""
        words = parse_words(content)
        if words is None:
            log.write_once("window", "warning", "the control file is not understood")
            return
        self._renewed_s = clocks.monotonic()
        previous = self._words
        if previous is None or previous.number != words.number:
            self.finish("another window begins")
            self._open(words)
        elif words.ends is not None and previous.ends is None and self._window is not None:
            self._words, self._progress_s = words, self._renewed_s
            with self._session.range_switch.lock:
                self._window.end_after(words.ends.get(self._find_file_name()))

    def check(self) -> None:
        """Do what is due: called several times a second."""
        window, words, now_s = self._window, self._words, clocks.monotonic()
        if window is None or words is None:
            return
        if now_s - self._renewed_s > words.lease_s:
            log.write_once("window lease", "warning", "a window ends: its command has gone")
            return self.finish("the command of the window has gone")
        if words.steps is None:
            with self._session.range_switch.lock:
                if window.steps != self._step_count:
                    self._step_count, self._progress_s = window.steps, now_s
                if now_s - self._progress_s > UNALIGNED_S:
                    if not window.has_begun:
                        self._is_unaligned = True
                        window.begin_now()
                    if words.ends is not None:
                        window.end_after(None)
        if window.is_over:
            self.finish("the window is over")

    def finish(self, reason: str) -> None:
        """End the window: ranges, wrapper and profiler are off afterwards."""
        window, self._window = self._window, None
        if window is None:
            return
        end = window.steps if window.end is None else min(window.steps, window.end)
        span = (window.first, max(end, window.first)) if window.has_begun else (0, 0)
        self._session.range_switch.end_window(reason)
        self._stop_profile()
        self._store(f.WINDOW_OVER, span)
        profile, self._profile = self._profile, None
        if profile is not None:
            profile.save()
        self._store(f.WINDOW_SAVED)

    def reset_in_child(self) -> None:
        """After fork: the child reads the control file itself, and has no profiler."""
        had_window, self._window = self._window is not None, None
        self._words = self._profile = None
        if had_window:
            self._session.range_switch.end_window("a child of the process with the window")

    def _open(self, words: WindowWords) -> None:
        session = self._session
        steps, file_name = session.steps, self._find_file_name()
        self._words, self._progress_s = words, clocks.monotonic()
        first = words.starts.get(file_name, -1)
        read_position: Callable[[], int] | None
        has_steps = steps.serves_vllm or steps.optimizers.exist or steps.total > 0
        if first is None:  # a front end: it runs no steps
            first, end, read_position = 0, None, lambda: 0
        else:
            read_position = (lambda: steps.total) if has_steps else None
            position = steps.total if has_steps else 0
            first = position + words.skip if first < 0 else max(first, position)
            end = self._find_end(words, file_name, first)
            if words.profile and ("Worker" in session.roles or not steps.serves_vllm):
                self._profile = WindowProfile(session, words.number)
        self._store(f.WINDOW_WAITING, (first, 0), words.number)
        self._is_unaligned = False
        self._window = ControlledWindow(
            first, end, self._switch, read_position, self._start_profile
        )
        self._step_count = self._window.steps
        session.range_switch.begin_window(self._window, "autoinstr ctl window")

    def _find_end(self, words: WindowWords, file_name: str, first: int) -> int | None:
        if words.steps is None:
            return None
        start = words.starts.get(file_name)
        return (first if start is None else start) + words.steps

    def _switch(self, on: bool) -> None:
        """Switch ranges and profiler: at the end of a step, in the thread that ran it.

        Where no step comes, it is the control file's thread, and the profiler waits for a step."""
        if not on:
            self._session.range_switch.write_window(False)
            self._stop_profile()
            return
        if not self._is_unaligned:
            self._start_profile()
        self._store(f.WINDOW_OPEN)
        self._session.range_switch.write_window(True)

    def _start_profile(self) -> None:
        if self._profile is not None:
            self._profile.start()

    def _stop_profile(self) -> None:
        if self._profile is not None:
            self._profile.stop()

    def _store(
        self, state: int, span: tuple[int, int] | None = None, number: int | None = None
    ) -> None:
        self._session.recorder.store_window(state, span, number)

    def _find_file_name(self) -> str:
        writer = self._session.recorder.writer
        return os.path.basename(writer.path) if writer is not None else ""
