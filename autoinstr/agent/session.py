"""The session: the one live activation in a process. It builds the parts and connects them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.agent import empty_run, end_line
from autoinstr.agent.active_emitters import ActiveEmitters
from autoinstr.agent.identity import Identity
from autoinstr.agent.profiler_events import ProfilerEvents
from autoinstr.agent.range_switch import RangeSwitch
from autoinstr.agent.recording_file import RecordingFile
from autoinstr.agent.unmatched_filters import report_unmatched_filters
from autoinstr.api import state as range_state
from autoinstr.base import doctor_channel
from autoinstr.base.guard import contain_errors, log_failure
from autoinstr.base.module_name import make_message_format
from autoinstr.config.filters import compile_filter
from autoinstr.emitters.profiler_kinds import NOT_INHERITED
from autoinstr.emitters.recorder import Recorder
from autoinstr.emitters.registry import RECORDER
from autoinstr.instrument.compiled.compiled_ranges import CompiledRanges
from autoinstr.instrument.functions.ranges import FunctionRanges
from autoinstr.instrument.modules.module_ranges import ModuleCallRanges
from autoinstr.instrument.profilers.running import RunningProfilers
from autoinstr.instrument.steps.window import StepEvents

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.config.config import Config


class Session:
    """The parts of the agent in this process. Methods may be called from any thread."""

    def __init__(self, config: Config, torch_module: ModuleType) -> None:
        """`torch_module` is torch.nn.modules.module.

        Raises ConfigError for a filter that cannot be compiled.
        """
        self.config = config
        self.is_first = False  # of the processes of its run that loaded torch
        self.is_explicit = False  # asked for by -X or `autoinstr run`, not by the environment
        self.filter = compile_filter(config.include, config.exclude, config.sources)
        self.recording_file = RecordingFile(self, config)
        self.recorder = Recorder(
            self.recording_file.create,
            self.recording_file.report_failure,
            config.domain,
            make_message_format(config.get_name(RECORDER)),
        )
        self.identity = Identity(self.recorder)
        self.recorder.on_name_defined = contain_errors("looking for the rank")(
            self.identity.update_rank
        )
        self.emitters = ActiveEmitters(config, self.recorder)
        self.profilers = RunningProfilers()
        self.steps = StepEvents(self._count_step, self.recorder.store_steps)
        self.module_ranges = ModuleCallRanges(
            torch_module,
            self.recorder,
            self.filter,
            lambda error: log_failure("a module range", error),
            self.steps.handle_outermost_call,
        )
        self.compiled_ranges = CompiledRanges(self.module_ranges.name_cache, self.recorder)
        self.function_ranges = FunctionRanges(
            self.recorder, lambda error: log_failure("a function range", error)
        )
        range_state.connect(self.function_ranges)
        self.range_switch = RangeSwitch(
            config,
            self.emitters,
            self.profilers,
            self.module_ranges,
            self.compiled_ranges,
            self.function_ranges,
            self.steps,
            self.report_to_doctor,
        )
        self.profiler_events = ProfilerEvents(
            config, self.range_switch, self.emitters, self.profilers
        )

    def records_in_memory(self) -> bool:
        """Return whether the recording has no file, because only metrics need it."""
        return self.emitters.records_in_memory

    @property
    def roles(self) -> list[str]:
        """The roles of this process in its run."""
        return self.identity.roles

    def switch_on(self, reason: str) -> None:
        """Turn on the emitters with when=manual, and those that `switch_off` turned off."""
        self.range_switch.switch_manually(True, reason)

    def switch_off(self, reason: str) -> None:
        """Turn off all emitters but those that follow a profiler.

        torch's own function is put back unless somebody has patched over the agent's.
        """
        self.range_switch.switch_manually(False, reason)

    @contain_errors("choosing emitters")
    def make_emitters(self, _: object = None) -> None:
        """Make the emitters whose modules are imported by now, and switch on what is due."""
        self.range_switch.make_emitters()

    def _count_step(self) -> None:
        self.range_switch.count_step()

    # -- the process -------------------------------------------------------------------------------

    @contain_errors("noting the role of the process")
    def add_role(self, role: str, rank: int | None, world_size: int | None) -> None:
        """Note that the process made an object of an engine that gives it a role."""
        self.steps.serves_vllm = True
        self.identity.add_role(role, rank, world_size)
        self.emitters.open_recording()

    @contain_errors("noting facts of the process")
    def add_facts(self, facts: dict[str, int]) -> None:
        """Note numbers that tell this process from others."""
        self.identity.add_facts(facts)

    @contain_errors("counting forks")
    def prepare_fork(self) -> None:
        """Before a fork, in the parent."""
        self.identity.count_fork()

    def describe_process(self) -> dict[str, Any]:
        """Return the header fields of a recording that say what this process is."""
        emitter_names = ",".join(self.emitters.names) or RECORDER
        compiled = {"compiled": dict(self.compiled_ranges.counts)}
        return {**self.identity.build_header(), "emitter": emitter_names, **compiled}

    @contain_errors("resetting after a fork")
    def reset_in_child(self) -> None:
        """In a forked child: drop the locks, numbers and recording, which are the parent's.

        The child creates a recording of its own at its first range.
        """
        self.range_switch.reset_lock_in_child()
        self.is_first = False
        self.module_ranges.name_cache.reset_in_child()
        self.compiled_ranges.reset_in_child()
        self.recorder.reset_in_child()
        self.recording_file.reset_in_child()
        self.emitters.reset_in_child()
        self.function_ranges.reset_in_child()
        self.identity.reset_in_child()
        self.profilers.drop_kinds(NOT_INHERITED)
        self.range_switch.refresh("a child of the process that profiles")
        self.report_to_doctor()

    @contain_errors("ending the recording")
    def close(self) -> None:
        """Close the recording at the orderly end of the process, and log what was not written."""
        self.identity.update_rank()
        is_alone = self.is_explicit and self.speaks_for_run()
        report_unmatched_filters(
            self.filter, self.module_ranges.copy_decisions(), is_alone=is_alone
        )
        self.recorder.close()
        self.report_to_doctor()
        if self.is_first:
            empty_run.call_after_children(self._report_missing_ranges)
        else:
            self.emitters.report_silent_emitters(is_first=False)

    @contain_errors("looking for missing ranges")
    def _report_missing_ranges(self) -> None:
        if not (self.speaks_for_run() and empty_run.report_empty_run(self._summarise())):
            self.emitters.report_silent_emitters(is_first=True)
            if end_line.is_run_command():
                recording_file = self.recording_file
                end_line.write_end_line(
                    self.config, recording_file.find_folder(), recording_file.run
                )

    def speaks_for_run(self) -> bool:
        """Return True if this process logs what concerns the whole run."""
        return self.is_first and empty_run.speaks_for_run(self.identity.rank)

    def _summarise(self) -> empty_run.ProcessSummary:
        decisions = self.module_ranges.copy_decisions().values()
        reason = self.range_switch.reason
        is_patched = self.module_ranges.swap.read_state() != "in" and "patched by" in reason
        window = self.range_switch.window
        return empty_run.ProcessSummary(
            config=self.config,
            emitter_names=self.emitters.names,
            used_names=frozenset(self.emitters.used_names),
            has_written=self.emitters.has_written or self.emitters.records_in_memory,
            recording_failed=self.recording_file.has_failed,
            folder=self.recording_file.find_folder(),
            run=self.recording_file.run,
            is_explicit=self.is_explicit,
            saw_profiler=self.profilers.has_run,
            serves_vllm=self.steps.serves_vllm,
            decisions=tuple(keep for keep, _ in decisions),
            has_unmatched_patterns=bool(self.filter.find_unmatched()),
            counted_steps=None if window is None else window.steps,
            foreign_patch=reason if is_patched else "",
        )

    def report_to_doctor(self) -> None:
        """Write the state of this process for `autoinstr doctor -- COMMAND`."""
        writer = self.recorder.writer
        details: dict[str, object] = {
            "emitter": ",".join(self.emitters.names),
            "wrapped": self.module_ranges.swap.read_state() == "in",
            "roles": self.roles,
            "out": self.config.out,
            "recording": (writer.path or "in memory") if writer else None,
        }
        if not self.module_ranges.is_known_torch:
            details["torch"] = "unknown version; every module call takes the slow path"
        details["compiled"] = self.compiled_ranges.describe()
        details["modules"] = self.module_ranges.list_decisions()
        doctor_channel.report(bool(self.range_switch.active), self.range_switch.reason, details)
