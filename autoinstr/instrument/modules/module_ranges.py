"""Module calls of this process: the plans, the wrappers and their swap, put together and switched
together."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base import log
from autoinstr.instrument import compile
from autoinstr.instrument.modules import hot_call, torch_versions
from autoinstr.instrument.modules.callers import Callers
from autoinstr.instrument.modules.name_cache import Plans
from autoinstr.instrument.modules.own_calls import Overrides
from autoinstr.instrument.modules.swap import Swap
from autoinstr.instrument.steps import window

if TYPE_CHECKING:
    from types import FunctionType, ModuleType

    from autoinstr.config.filters import Filter
    from autoinstr.emitters.recorder import Recorder
    from autoinstr.emitters.tool_output import Live


class ModuleCalls:
    """Module ranges, in or out. Not thread-safe: the session holds its lock."""

    def __init__(
        self,
        torch_module: ModuleType,
        recorder: Recorder,
        filter_: Filter,
        failed: Callable[[BaseException], None],
        outermost_ended: Callable[[], None],
    ) -> None:
        """`torch_module` is torch.nn.modules.module; `outermost_ended` is told of the end of
        outermost calls while they are counted."""
        module_class = torch_module.Module
        self.swap = Swap(module_class)
        self._callers = callers = Callers(module_class)
        self._torch_module = torch_module
        self._failed = failed
        self._known = known = torch_versions.torch_is_known(torch_module)
        self.plans = Plans(
            recorder.local,
            recorder.nowhere,
            filter_,
            lambda cls: known and torch_versions.class_is_plain(cls, module_class),
            callers,
            lambda cls: self.overrides.wrap(cls),
            self._look_for_others,
            lambda name, reason: recorder.tell(
                {
                    "t": "left_out",
                    "cls": name.cls,
                    "path": name.path,
                    "root": name.root,
                    "reason": reason,
                }
            ),
            failed,
        )
        local, begin, original = recorder.local, self.plans.begin, self.swap.original
        self.overrides = Overrides(module_class, local, self.plans.begin_own, callers.codes.add)
        self._long = self._usual = hot_call.long_call(original, begin)
        self._lives: list[Live] = []
        self._emitting: dict[
            int, FunctionType
        ] = {}  # id of an emitter's output -> the wrapper for it alone
        self._counting = window.counting_call(
            original, local, begin, compile.unseen(outermost_ended)
        )
        self._recorder = recorder
        if known:
            line = torch_versions.forward_line(torch_module)
            tracing = sys.modules["torch.jit._trace"]
            self._usual = hot_call.short_call(
                torch_module, tracing, line, self.plans.numbers, local, begin
            )
        for function in (
            self._usual,
            self._counting,
            *(() if self._long is self._usual else (self._long,)),
        ):
            self._made(function)

    def _made(self, function: FunctionType) -> None:
        self._callers.codes.add(function.__code__)
        compile.stands_for(function, self.swap.original)

    def emit(self, live: Live) -> None:
        """Make the wrapper for an emitter alone."""
        self._lives.append(live)
        if self._known:
            line = torch_versions.forward_line(self._torch_module)
            tracing = sys.modules["torch.jit._trace"]
            function = hot_call.emitting_call(
                self._torch_module,
                tracing,
                line,
                self.plans.messages,
                self.plans.begin,
                live,
                self._failed,
            )
            self._emitting[id(live)] = function
            self._made(function)

    def put(self, output: Any, counting: bool, tracing: bool) -> str | None:
        """Put in the wrapper for the moment: one that counts outermost calls, one that a Python
        tracer sees torch's function under, or the usual one for `output`. Returns who else has
        patched torch's function, if that leaves ours without ranges."""
        usual = (
            self._usual if output is self._recorder else self._emitting.get(id(output), self._long)
        )
        state = self.swap.put(self._counting if counting else self._long if tracing else usual)
        if state not in ("blocked", "beneath"):
            return None
        by = self.swap.foreign()
        self._look_for_others(output)
        if state == "beneath":
            log.once(
                "beneath",
                "info",
                "torch.nn.Module.__call__ is patched over ours; ranges are written beneath",
                by=by,
            )
            return None
        if output is self._recorder or not self.swap.foreign_tools():
            log.once(
                "blocked",
                "warning",
                "module ranges stay off: torch.nn.Module.__call__ is patched",
                by=by,
            )
        return by

    def _look_for_others(self, output: Any) -> bool:
        """A program that writes module ranges to a tool itself, as the guides' `custom_call` does,
        has each there once: ours are left out. True where that is new, or over."""
        tools = self.swap.foreign_tools() if output is not self._recorder else frozenset()
        changed = False
        for live in self._lives:
            leaves = live.emitter.name in tools
            changed |= leaves != live.leaves_modules
            live.leaves_modules = leaves
            if leaves:
                by = self.swap.foreign()
                log.once(
                    "foreign ranges",
                    "warning",
                    "the program writes module ranges itself; autoinstr leaves them to it",
                    by=by,
                )
        return changed

    def take_out(self) -> None:
        """Put torch's own function back, unless somebody has patched over ours (then ours goes on,
        and records nothing while the plans are off)."""
        self.swap.take_out()

    def decisions(self) -> list[dict[str, Any]]:
        """Every named module, kept or dropped and why, for `autoinstr doctor`."""
        return [
            {"path": path, "class": cls, "keep": keep, "reason": why}
            for (path, cls), (keep, why) in self.plans.decisions().items()
        ]
