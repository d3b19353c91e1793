"""Leaves module ranges to a program that writes them into a tool itself.

The guides' `custom_call` does so. Without this rule each module would have two ranges there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base import log

if TYPE_CHECKING:
    from autoinstr.emitters.recorder import Recorder
    from autoinstr.emitters.tool_output import ToolOutput
    from autoinstr.instrument.modules.swap import Swap


class ForeignRanges:
    """Knows the outputs of this process, and which of them skip module ranges."""

    def __init__(self, swap: Swap, recorder: Recorder) -> None:
        self._swap = swap
        self._recorder = recorder
        self._outputs: list[ToolOutput] = []

    def add_output(self, output: ToolOutput) -> None:
        """Watch one more output."""
        self._outputs.append(output)

    def update_outputs(self, active_output: Any) -> bool:
        """Set for each output whether it skips modules; return whether that changed for one.

        `active_output` is where ranges go now. The recorder alone always records modules."""
        is_recorder = active_output is self._recorder
        tools = frozenset() if is_recorder else self._swap.find_foreign_tools()
        has_changed = False
        for output in self._outputs:
            skips_modules = output.emitter.name in tools
            has_changed |= skips_modules != output.skips_modules
            output.skips_modules = skips_modules
            if skips_modules:
                log.write_once(
                    "foreign ranges",
                    "warning",
                    "the program writes module ranges itself; autoinstr adds none",
                    by=self._swap.describe_foreign_function(),
                )
        return has_changed
