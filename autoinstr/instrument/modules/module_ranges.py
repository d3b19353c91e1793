"""Module ranges of this process: connects wrappers, names and the swap, switches them together."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base import log
from autoinstr.instrument import compile
from autoinstr.instrument.modules import (
    hot_call,
    hot_emitting_call,
    original_calls,
    torch_versions,
    traced_calls,
)
from autoinstr.instrument.modules.foreign_ranges import ForeignRanges
from autoinstr.instrument.modules.module_rules import ModuleRules
from autoinstr.instrument.modules.name_cache import NameCache
from autoinstr.instrument.modules.swap import Swap

if TYPE_CHECKING:
    from types import FunctionType, ModuleType

    from autoinstr.config.filters import Decision, Filter
    from autoinstr.emitters.recorder import Recorder
    from autoinstr.emitters.tool_output import ToolOutput


class ModuleCallRanges:
    """Module ranges, on or off. Not thread-safe: the session holds its lock."""

    def __init__(
        self,
        torch_module: ModuleType,
        recorder: Recorder,
        module_filter: Filter,
        report_error: Callable[[BaseException], None],
        count_outermost_call: Callable[[], None],
    ) -> None:
        """`torch_module` is torch.nn.modules.module. `count_outermost_call` is called at the end of
        each outermost call while these are counted."""
        self._torch_module = torch_module
        self._recorder = recorder
        self._report_error = report_error
        self.swap = Swap(torch_module.Module)
        self._rules = ModuleRules(torch_module, self.swap, recorder, module_filter)
        self._foreign_ranges = ForeignRanges(self.swap, recorder)
        self.name_cache = NameCache(recorder, self._rules, self._foreign_ranges, report_error)
        local, begin, original = recorder.local, self.name_cache.begin, self.swap.original
        self._torch_call = original_calls.make_torch_call(original, begin)
        self._counting_call = original_calls.make_counting_call(
            original, local, begin, compile.hide_from_dynamo(count_outermost_call)
        )
        self._recording_call = self._torch_call
        self._emitting_calls: dict[int, FunctionType] = {}  # by id of the emitter's output
        self._traced_calls: dict[int, FunctionType] = {}  # by id of the output
        self._register_wrapper(self._torch_call)
        self._register_wrapper(self._counting_call)
        if self._rules.is_known_torch:
            self._recording_call = hot_call.make_recording_call(
                torch_module,
                sys.modules["torch.jit._trace"],
                torch_versions.find_forward_line(torch_module),
                self._rules.class_states,
                self.name_cache.number_refs,
                local,
                begin,
            )
            self._register_wrapper(self._recording_call)
        self._add_traced_call(
            recorder,
            traced_calls.make_traced_recording_call(
                original, self.name_cache.number_refs, local, begin
            ),
        )

    def _add_traced_call(self, output: Any, wrapper: FunctionType) -> None:
        """Use this wrapper for the output while a Python tracer runs."""
        self._traced_calls[id(output)] = wrapper
        self._register_wrapper(wrapper)

    def _register_wrapper(self, wrapper: FunctionType) -> None:
        self._rules.callers.codes.add(wrapper.__code__)
        compile.trace_as(wrapper, self.swap.original)

    def add_output(self, output: ToolOutput) -> None:
        """Make the wrapper for one emitter alone."""
        self._foreign_ranges.add_output(output)
        if self._rules.is_known_torch:
            wrapper = hot_emitting_call.make_emitting_call(
                self._torch_module,
                sys.modules["torch.jit._trace"],
                torch_versions.find_forward_line(self._torch_module),
                self._rules.class_states,
                self.name_cache.message_refs,
                self.name_cache.begin,
                output,
                self._report_error,
            )
            self._emitting_calls[id(output)] = wrapper
            self._register_wrapper(wrapper)
        self._add_traced_call(
            output,
            traced_calls.make_traced_emitting_call(
                self.swap.original,
                self._recorder.local,
                self.name_cache.message_refs,
                self.name_cache.begin,
                output,
                self._report_error,
            ),
        )

    def install_wrapper(self, output: Any, is_counting: bool, is_traced: bool) -> str | None:
        """Install the wrapper that fits.

        `is_counting`: it counts outermost calls. `is_traced`: a Python tracer runs, and must see
        torch's function below it. Otherwise it is the fastest wrapper for `output`. Return who
        patched torch's function, if that leaves the program without module ranges."""
        if is_counting:
            wrapper = self._counting_call
        elif is_traced:
            wrapper = self._traced_calls.get(id(output), self._torch_call)
        elif output is self._recorder:
            wrapper = self._recording_call
        else:
            wrapper = self._emitting_calls.get(id(output), self._torch_call)
        state = self.swap.install(wrapper)
        if state == "guarded":
            log.write_once(
                "guarded",
                "warning",
                "module ranges stay off: compiled code would be compiled anew",
                reason="it checks torch.nn.Module.__call__",
            )
        if state not in ("blocked", "beneath"):
            return None
        patched_by = self.swap.describe_foreign_function()
        self._foreign_ranges.update_outputs(output)
        if state == "beneath":
            log.write_once(
                "beneath",
                "info",
                "another program patched torch.nn.Module.__call__; module ranges are still written",
                by=patched_by,
            )
            return None
        if output is self._recorder or not self.swap.find_foreign_tools():
            log.write_once(
                "blocked",
                "warning",
                "module ranges stay off: another program patched torch.nn.Module.__call__",
                by=patched_by,
            )
        return patched_by

    @property
    def is_known_torch(self) -> bool:
        """Whether torch's calling code is known, so that calls may take the short path."""
        return self._rules.is_known_torch

    def restore_original(self) -> None:
        """Restore torch's own function, unless another program patched over the wrapper.

        Then the wrapper stays, and records nothing while the name cache is off."""
        self.swap.restore_original()

    def copy_decisions(self) -> dict[tuple[str, str], Decision]:
        """Map path and class of every named module to the filter's decision."""
        return self._rules.copy_decisions()

    def list_decisions(self) -> list[dict[str, Any]]:
        """List every named module with the filter's decision and its reason, for `autoinstr
        doctor`."""
        return [
            {"path": path, "class": cls, "keep": keep, "reason": reason}
            for (path, cls), (keep, reason) in self.copy_decisions().items()
        ]
