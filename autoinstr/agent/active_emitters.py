"""The emitters of this process: which of them exist, which are due, and the output that joins them.

What each emitter needs, waits for and reports is in `emitters/registry.py`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from autoinstr.base import log
from autoinstr.base.guard import log_failure
from autoinstr.base.module_name import make_message_format
from autoinstr.emitters import profiler_kinds
from autoinstr.emitters.registry import AUTO, METRICS, RECORDER, find_row, list_emitters
from autoinstr.instrument.importhook import is_complete

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoinstr.config.config import Config
    from autoinstr.emitters.combined_output import CombinedOutput
    from autoinstr.emitters.recorder import Recorder
    from autoinstr.emitters.registry import EmitterRow
    from autoinstr.emitters.tool_output import ToolOutput
    from autoinstr.instrument.profilers.running import RunningProfilers

_WITHOUT_TOOL = (RECORDER, AUTO, METRICS)


class ActiveEmitters:
    """Not thread-safe: the caller holds the session's lock."""

    def __init__(self, config: Config, recorder: Recorder) -> None:
        self._config = config
        self._recorder = recorder
        self.records_in_memory = False  # the recorder has no file: only metrics need it
        self.names: tuple[str, ...] = ()  # of the emitters that exist, the recorder first
        self.used_names: set[str] = set()  # of those that were on at some time in this process
        self._tool_outputs: dict[str, ToolOutput] = {}
        self._unavailable: set[str] = set()  # could not be made; a log line has named the reason
        self._combined: dict[tuple[str, ...], CombinedOutput] = {}

    def make_available(self) -> list[ToolOutput]:
        """Make the emitters that the options ask for and whose modules are imported by now.

        Return the new ones. With the recorder alone, no emitter's file is imported.
        """
        words = self._config.emitter
        if words == (AUTO,):
            words = (self._choose_automatically(),)
        new_outputs = [
            tool_output
            for name in words
            if name not in _WITHOUT_TOOL and (tool_output := self._make(name)) is not None
        ]
        names = [name for name in words if name in self._tool_outputs]
        if RECORDER in words or (self._config.emitter == (AUTO,) and not names):
            names.insert(0, RECORDER)
        if RECORDER not in names and self._config.get_metrics() != "off":
            names.insert(0, RECORDER)
            # Later calls find the recording in memory.
            self.records_in_memory = self.records_in_memory or self._recorder.writer is None
        self.names = tuple(names)
        return new_outputs

    def _choose_automatically(self) -> str:
        for row in list_emitters():
            policy = row.policy
            if policy.in_auto and _has_module(row) and (not policy.has_tool or policy.has_tool()):
                return row.name
        return RECORDER

    def _make(self, name: str) -> ToolOutput | None:
        """Return the output of an emitter that did not exist; None if there is no new one."""
        row = find_row(name)
        if name in self._tool_outputs or name in self._unavailable:
            return None
        if row.make is None or not _has_module(row):
            return None
        from autoinstr.emitters.emitter import EmitterUnavailable
        from autoinstr.emitters.tool_output import ToolOutput

        try:
            emitter = row.make()
        except Exception as error:
            self._unavailable.add(name)
            if isinstance(error, EmitterUnavailable):
                event = "an emitter cannot be used"
                log.write_once(
                    f"unavailable {name}", "error", event, emitter=name, reason=str(error)
                )
            else:
                log_failure(f"the emitter {name}", error)
            return None
        config = self._config
        tool_output = self._tool_outputs[name] = ToolOutput(
            emitter,
            make_message_format(config.get_name(name)),
            config.domain,
            config.get_streams(name),
            config.attributes,
            lambda error: log_failure(f"a range of {name}", error),
        )
        return tool_output

    def select_due(self, profilers: RunningProfilers, manual: bool | None) -> tuple[str, ...]:
        """Return the names of the emitters that are due now.

        `manual`: the last `autoinstr ctl on` (True) or `off` (False). While a profiler is stopping,
        an emitter that must close early is off, whatever its `when` is.
        """
        return tuple(
            name
            for name in self.names
            if self._is_due(name, profilers, manual)
            and not (profilers.is_stopping and self._closes_early(name))
        )

    def _closes_early(self, name: str) -> bool:
        return name in self._tool_outputs and self._tool_outputs[name].emitter.closes_early

    def _is_due(self, name: str, profilers: RunningProfilers, manual: bool | None) -> bool:
        when = self._config.get_when(name)
        if when == "manual":
            return manual is True
        if when == "always":
            return manual is not False
        policy = find_row(name).policy
        if policy.has_tool is not None:
            return policy.has_tool()
        if policy.profiler_kinds is None:
            return profilers.is_active
        excluded = frozenset() if self._config.mspti else frozenset((profiler_kinds.MSPTI,))
        return profilers.has_any(policy.profiler_kinds - excluded)

    def find_output(self, names: tuple[str, ...]) -> Recorder | ToolOutput | CombinedOutput | None:
        """Return the output that writes each range to all of these emitters; None for no names."""
        self.used_names.update(names)
        if len(names) < 2:
            return self._find_single_output(names[0]) if names else None
        if names not in self._combined:
            from autoinstr.emitters.combined_output import CombinedOutput

            self._combined[names] = CombinedOutput(
                [self._find_single_output(name) for name in names],
                lambda error: log_failure("one of several emitters", error),
            )
        return self._combined[names]

    def _find_single_output(self, name: str) -> Any:
        return self._recorder if name == RECORDER else self._tool_outputs[name]

    def show_recording_state(self, on: bool) -> None:
        """Write into the recording whether ranges are on, for `autoinstr ctl status`."""
        self._recorder.set_active(on)

    def open_recording(self) -> None:
        """Create this process's recording, if the recorder is among the emitters."""
        if RECORDER in self.names:
            self._recorder.open()

    def end_open_ranges(self, names: Iterable[str]) -> None:
        """End what is open in the tools of these emitters, which stop or have stopped."""
        for name in names:
            if name in self._tool_outputs:
                self._tool_outputs[name].end_open_ranges()

    def report_collection_ended(self) -> None:
        """Tell each emitter that a tool has stopped collecting."""
        for name, tool_output in self._tool_outputs.items():
            try:
                tool_output.emitter.collection_ended()
            except Exception as error:
                log_failure(f"the emitter {name}", error)

    def warn_of_rangeless_profile(self, kind: str) -> None:
        """Log a warning if a profiler of this kind collects no range of the only emitter."""
        if len(self.names) == 1:
            warning = find_row(self.names[0]).policy.rangeless_profilers.get(kind)
            if warning is not None:
                log.write_once(kind, "warning", warning)

    @property
    def has_written(self) -> bool:
        """Whether a tool got ranges of this process, from the agent or from the program itself."""
        return any(
            tool_output.range_count or tool_output.skips_modules
            for tool_output in self._tool_outputs.values()
        )

    def report_silent_emitters(self, is_first: bool) -> None:
        """At the end of a process that has ranges: log each emitter that wrote none, and why.

        `is_first`: the process is the first of its run. In another one a missing module is no
        warning: a child may well lack what its parent has.
        """
        names = [name for name in self._config.emitter if name not in _WITHOUT_TOOL]
        for name in dict.fromkeys((*names, *self._tool_outputs)):
            reason, level = self._find_silence(name, is_first)
            if reason:
                event = f"no range was written: {reason}"
                log.write_once(f"silent {name}", level, event, emitter=name)

    def _find_silence(self, name: str, is_first: bool) -> tuple[str, str]:
        """Return why an emitter wrote no range, "" if it wrote some, and the log level."""
        policy = find_row(name).policy
        tool_output = self._tool_outputs.get(name)
        if name in self._unavailable:
            return "", ""
        if tool_output is None:
            return f"{policy.module} was never imported", "warning" if is_first else "info"
        if name not in self.used_names:
            return f"{policy.silent_reason} (when=always waits for none)", "info"
        if tool_output.range_count or tool_output.skips_modules:
            return "", ""
        return "nothing that the filters keep was called", "warning"

    def reset_in_child(self) -> None:
        """After fork: the parent ends its open ranges itself."""
        self.used_names.clear()
        for tool_output in self._tool_outputs.values():
            tool_output.reset_in_child()


def _has_module(row: EmitterRow) -> bool:
    """Whether the module that an emitter needs, if any, is imported, and its import is finished."""
    if row.policy.module is None:
        return True
    module = sys.modules.get(row.policy.module)
    return module is not None and is_complete(module)
