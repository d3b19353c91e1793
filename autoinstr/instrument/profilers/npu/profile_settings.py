"""Sets arguments of torch_npu's `profile` over those of the program.

If ranges go to mstx, it also adds the CPU activity: module_statistic finds the operators of a
module by it.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base import doctor_channel, log
from autoinstr.instrument.profilers.effective import AUTOINSTR, EffectiveParameters
from autoinstr.instrument.profilers.npu import rules
from autoinstr.instrument.profilers.npu.arguments import InitCall, wrap_init

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

MODULE = "torch_npu.profiler.profiler"
# These packages count the steps of the profilers that they make. A schedule from the options would
# stay in its first phase there.
_PACKAGES_WITH_SCHEDULE = ("vllm.", "vllm_ascend.", "torch_npu.")
_ACTIVITIES = {"cpu": "CPU", "npu": "NPU"}
# Attributes of the profiler's interface, and of the profiler itself, that have the parameters.
_INTERFACE_ATTRIBUTES = (
    "activities",
    "record_shapes",
    "profile_memory",
    "with_stack",
    "with_flops",
    "with_modules",
)
_PROFILE_ATTRIBUTES = ("schedule", "on_trace_ready")


class ProfileParameters:
    """The parameters of every profiler of torch_npu in this process."""

    def __init__(
        self,
        values: Mapping[str, Any],
        sets_config: bool,
        source: str,
        domain: str | None,
        effective: EffectiveParameters,
    ) -> None:
        """`sets_config`: the options also set parameters of its _ExperimentalConfig.

        The other arguments are those of ConfigParameters.
        """
        self._values = values
        self._sets_config = sets_config
        self._source = source
        self._domain = domain
        self._effective = effective
        self.report_to_doctor: Callable[[], object] = lambda: None  # after each new profiler

    def apply(self, module: ModuleType) -> None:
        """Wrap the classes. `module` is torch_npu.profiler.profiler."""
        activity = module.ProfilerActivity

        def set_arguments(call: InitCall) -> None:
            supported = module.supported_activities()
            self._set_activities(call, activity, supported)
            for name, value in self._values.items():
                if name in call.parameters and name != "activities":
                    argument = self._make_argument(module, call, name, value)
                    if argument is not None:
                        call.set_argument(name, argument, self._source)
            config = call.arguments.get("experimental_config")
            has_config = config is not None or self._sets_config
            gc_threshold = getattr(config, "_gc_detect_threshold", None)
            resets = rules.predict_profile_resets(
                call.arguments, supported, has_config, gc_threshold
            )
            call.announce_resets(resets, {})
            activities = call.arguments.get("activities") or supported
            if self._domain is not None and activity.CPU not in activities:
                log.write_once(
                    "no cpu activity",
                    "warning",
                    "without the cpu activity module_statistic finds no operators",
                )

        def read_result(profile: Any, call: InitCall) -> None:
            interface = profile.prof_if
            owners = {
                **dict.fromkeys(_INTERFACE_ATTRIBUTES, interface),
                **dict.fromkeys(_PROFILE_ATTRIBUTES, profile),
            }
            values = [
                call.read_back(name, getattr(owner, name), {})
                for name, owner in owners.items()
                if name in call.parameters
            ]
            self._effective.add_profiler(type(profile), values, interface.experimental_config)
            if doctor_channel.is_requested():
                self.report_to_doctor()

        def is_inner_call(profile: Any) -> bool:
            return isinstance(profile, module.profile)

        wrap_init(module.profile, set_arguments, read_result, lambda _: False)
        wrap_init(module._KinetoProfile, set_arguments, read_result, is_inner_call)

    def _set_activities(self, call: InitCall, activity: Any, supported: Any) -> None:
        activities = call.arguments.get("activities")
        if activities is not None:
            activities = call.arguments["activities"] = list(activities)  # it may be an iterator
        words = self._values.get("activities")
        if words is not None:
            kinds = [getattr(activity, _ACTIVITIES[word]) for word in words if word in _ACTIVITIES]
            unsupported = [word for word in words if word not in _ACTIVITIES]
            if unsupported:
                log.write_once(
                    f"npu activities {unsupported}",
                    "warning",
                    "torch_npu cannot profile an activity that is asked for",
                    activities=unsupported,
                )
            if kinds:
                call.set_argument("activities", kinds, self._source)
        elif (
            self._domain is not None
            and activities
            and activity.CPU not in activities
            and all(item in supported for item in activities)
        ):
            call.set_argument("activities", [*activities, activity.CPU], AUTOINSTR)

    def _make_argument(self, module: ModuleType, call: InitCall, name: str, value: Any) -> Any:
        """Return the argument for a value of the options; None keeps the program's own."""
        if name == "schedule":
            if call.caller.startswith(_PACKAGES_WITH_SCHEDULE):
                return None
            return _make_schedule(value)
        return module.tensorboard_trace_handler(value) if name == "on_trace_ready" else value


def _make_schedule(numbers: Mapping[str, int]) -> Any:
    cls = sys.modules["torch_npu.profiler.scheduler"].Schedule
    parameters = inspect.signature(cls).parameters
    arguments = {name: number for name, number in numbers.items() if name in parameters}
    for name in numbers.keys() - arguments.keys():
        log.write_once(
            f"torch_npu has no {name}",
            "warning",
            "this torch_npu has no such profiler parameter",
            parameter=f"schedule {name}",
        )
    return cls(**arguments)
