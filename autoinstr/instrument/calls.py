"""Module calls of this process: the plans, the wrappers and their swap, put together and switched together."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Callable

from autoinstr import log
from autoinstr.instrument import dynamo, eligible, modules, steps
from autoinstr.instrument.callers import Callers
from autoinstr.instrument.overrides import Overrides
from autoinstr.instrument.plans import Plans
from autoinstr.instrument.swap import Swap

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.emitters.recorder import Recorder
    from autoinstr.filters import Filter
    from autoinstr.names import ModuleName


class ModuleCalls:
    """Module ranges, in or out. Not thread-safe: the session holds its lock."""

    def __init__(
        self,
        torch_module: ModuleType,
        recorder: Recorder,
        filter_: Filter,
        message: Callable[[ModuleName], str],
        failed: Callable[[BaseException], None],
        outermost_ended: Callable[[], None],
    ) -> None:
        """`torch_module` is torch.nn.modules.module; `outermost_ended` is told of the end of outermost calls while they are counted."""
        module_class = torch_module.Module
        self.swap = Swap(module_class)
        callers = Callers(module_class)
        known = eligible.torch_is_known(torch_module)
        self.plans = Plans(
            recorder,
            filter_,
            message,
            lambda cls: known and eligible.class_is_plain(cls, module_class),
            callers,
            lambda cls: self.overrides.wrap(cls),
            failed,
        )
        local, begin, original = recorder.local, self.plans.begin, self.swap.original
        self.overrides = Overrides(module_class, local, self.plans.begin_own, callers.codes.add)
        self._long = self._usual = modules.long_call(original, begin)
        self._counting = steps.counting_call(original, local, begin, dynamo.unseen(outermost_ended))
        if known:
            line = eligible.forward_line(torch_module)
            tracing = sys.modules["torch.jit._trace"]
            self._usual = modules.short_call(torch_module, tracing, line, self.plans.plans, local, begin, recorder.nowhere)
        for function in (self._usual, self._counting, *(() if self._long is self._usual else (self._long,))):
            callers.codes.add(function.__code__)
            dynamo.stands_for(function, original)

    def put(self, counting: bool, tracing: bool) -> str | None:
        """Put in the wrapper for the moment: one that counts outermost calls, one that a Python tracer sees torch's function under, or
        the usual one. Returns who else has patched torch's function if ours could not be put in."""
        state = self.swap.put(self._counting if counting else self._long if tracing else self._usual)
        if state == "blocked":
            log.once("blocked", "warning", "module ranges stay off: torch.nn.Module.__call__ is patched", by=self.swap.foreign())
            return self.swap.foreign()
        if state == "beneath":
            log.once("beneath", "info", "torch.nn.Module.__call__ is patched over ours; ranges are written beneath", by=self.swap.foreign())
        return None

    def take_out(self) -> None:
        """Put torch's own function back, unless somebody has patched over ours (then ours goes on, and records nothing while the plans
        are off)."""
        self.swap.take_out()

    def decisions(self) -> list[dict[str, Any]]:
        """Every named module, kept or dropped and why, for `autoinstr doctor`."""
        return [{"path": path, "class": cls, "keep": keep, "reason": why} for (path, cls), (keep, why) in self.plans.decisions().items()]
