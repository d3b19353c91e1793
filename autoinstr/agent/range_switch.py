"""Switches the ranges of this process on and off.

Emitters, the wrapper of `Module.__call__`, function targets and the user's own ranges change
together, under one lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from autoinstr.api import state as range_state
from autoinstr.base.guard import contain_errors
from autoinstr.base.own_thread import make_reentrant_lock
from autoinstr.emitters.registry import RECORDER
from autoinstr.instrument.steps.window import StepEvents, StepWindow

if TYPE_CHECKING:
    from autoinstr.agent.active_emitters import ActiveEmitters
    from autoinstr.agent.window.step_window import ControlledWindow
    from autoinstr.config.config import Config
    from autoinstr.instrument.compiled.compiled_ranges import CompiledRanges
    from autoinstr.instrument.functions.ranges import FunctionRanges
    from autoinstr.instrument.modules.module_ranges import ModuleCallRanges
    from autoinstr.instrument.profilers.running import RunningProfilers

_INITIAL_REASON = "not switched on yet"


class RangeSwitch:
    """The switch. Its public methods may be called from any thread."""

    def __init__(
        self,
        config: Config,
        emitters: ActiveEmitters,
        profilers: RunningProfilers,
        module_ranges: ModuleCallRanges,
        compiled_ranges: CompiledRanges,
        function_ranges: FunctionRanges,
        steps: StepEvents,
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called after each change of what is on."""
        self.lock = make_reentrant_lock()
        self.reason = _INITIAL_REASON  # why ranges are on or off, for `autoinstr doctor`
        self.active: tuple[str, ...] = ()  # names of the emitters that are on
        # of the option, or of `autoinstr ctl window` (agent/window/)
        self.window: Any = self._make_window(config)
        self._config = config
        self._emitters = emitters
        self._profilers = profilers
        self._module_ranges = module_ranges
        self._compiled_ranges = compiled_ranges
        self._function_ranges = function_ranges
        self._steps = steps
        self._on_change = on_change
        self._manual: bool | None = None  # the last `autoinstr ctl on` or `off`

    def switch_manually(self, on: bool, reason: str) -> None:
        """Do what `autoinstr ctl` asks: turn on emitters with when=manual, or turn off all.

        A later `on` also turns on again what `off` turned off.
        """
        with self.lock:
            self._manual = on
            self.refresh(reason)

    def begin_window(self, window: ControlledWindow, reason: str) -> None:
        """Record the steps of a window that `autoinstr ctl window` has asked for, and no others."""
        with self.lock:
            self.switch_manually(False, reason)
            self.window = window
            self.switch_manually(True, reason)

    def end_window(self, reason: str) -> None:
        """Turn off all emitters as `autoinstr ctl off` does; the option `window` counts again."""
        with self.lock:
            self.switch_manually(False, reason)
            self.window = self._make_window(self._config)

    def make_emitters(self) -> None:
        """Make the emitters whose modules are imported by now, and switch on what is due."""
        with self.lock:
            for tool_output in self._emitters.make_available():
                self._module_ranges.add_output(tool_output)
            names = self._emitters.names
            self.refresh(
                f"when={self._config.get_when(names[0])}" if names else "no emitter can be used"
            )

    def refresh(self, reason: str) -> None:
        """Turn on the emitters that are due and turn off the others. The caller holds the lock.

        `reason` is kept if something changes.
        """
        previous = self.active
        names = self._emitters.select_due(self._profilers, self._manual)
        if names == previous:
            if names:
                self._put_wrapper()
            elif self.reason == _INITIAL_REASON:
                self.reason = (
                    f"{reason}, and no profiler runs" if reason == "when=profiling" else reason
                )
            return
        self.active, self.reason = names, reason
        if not names:
            self._module_ranges.restore_original()
        self._write_ranges(False)
        if not previous or not names:
            self._function_ranges.note_unseen_time()
        self._emitters.end_open_ranges(name for name in previous if name not in names)
        if self.window is not None and any(name not in previous for name in names):
            self._steps.recheck_optimizer()
            self.window.restart()
        elif names:
            self._write_ranges(self.window is None or self.window.includes_step)
        self._emitters.show_recording_state(bool(names))
        if names:
            self._put_wrapper()
        self._on_change()

    def remove_wrapper(self) -> None:
        """Put torch's own `Module.__call__` in place until the next refresh."""
        with self.lock:
            self._module_ranges.restore_original()

    @contain_errors("counting steps")
    def count_step(self) -> None:
        """Count a step of the program that has ended; the window may begin or end with it."""
        with self.lock:
            if self.window is not None and self.active:
                self.window.count_step()
                if self.window.is_over:
                    self._module_ranges.restore_original()

    def reset_lock_in_child(self) -> None:
        """After fork: a thread that does not exist here may hold the parent's lock."""
        self.lock = make_reentrant_lock()

    def _put_wrapper(self) -> None:
        window = self.window
        if window is not None and (
            window.is_over or not (window.counts_calls or window.includes_step)
        ):
            return self._module_ranges.restore_original()
        foreign = self._module_ranges.install_wrapper(
            self._emitters.find_output(self.active),
            window is not None and window.counts_calls,
            self._profilers.has_python_tracer,
        )
        if foreign is not None:
            self.reason = f"torch.nn.Module.__call__ is patched by {foreign}"

    def write_window(self, on: bool) -> None:
        """Let ranges begin or end inside the window. The caller holds the lock."""
        self._function_ranges.note_unseen_time()
        self._write_ranges(on)
        if on and not self.window.counts_calls:
            self._put_wrapper()

    def _make_window(self, config: Config) -> StepWindow | None:
        return None if config.window is None else StepWindow(*config.window, self.write_window)

    def _write_ranges(self, on: bool) -> None:
        """Send the ranges of modules, functions and the user to the active emitters, or nowhere."""
        output = self._emitters.find_output(self.active) if on else None
        self._function_ranges.switch(output, RECORDER in self.active)
        if output is None:
            self._module_ranges.name_cache.switch_off()
        else:
            is_recorder = self.active == (RECORDER,)
            self._module_ranges.name_cache.switch_on(output, is_recorder=is_recorder)
        self._compiled_ranges.switch(output is not None)
        range_state.switch(on)
