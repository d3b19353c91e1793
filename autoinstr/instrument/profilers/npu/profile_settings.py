"""Sets arguments of torch_npu's `profile` over those that the program gives. Where mstx ranges are
written the CPU activity is there, by which module_statistic finds the operators of a module.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base import doctor_channel, log
from autoinstr.instrument.profilers.effective import OURS, Effective
from autoinstr.instrument.profilers.npu import rules
from autoinstr.instrument.profilers.npu.arguments import Call, wrap

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

MODULE = "torch_npu.profiler.profiler"
# These count the steps of the profilers that they make: a schedule of ours would never leave its
# first phase there.
_OWN_SCHEDULE = ("vllm.", "vllm_ascend.", "torch_npu.")
_ACTIVITIES = {"cpu": "CPU", "npu": "NPU"}
_OF_THE_INTERFACE = (
    "activities",
    "record_shapes",
    "profile_memory",
    "with_stack",
    "with_flops",
    "with_modules",
)
_OF_THE_PROFILE = ("schedule", "on_trace_ready")


class ProfileParameters:
    """For every profiler of torch_npu in this process."""

    def __init__(
        self,
        values: Mapping[str, Any],
        configured: bool,
        source: str,
        domain: str | None,
        effective: Effective,
    ) -> None:
        """configured: there are values for its _ExperimentalConfig as well. The rest as in
        ConfigParameters."""
        self._values = values
        self._configured = configured
        self._source = source
        self._domain = domain
        self._effective = effective
        self.told: Callable[[], object] = lambda: None  # for the doctor: a profiler was made

    def apply(self, module: ModuleType) -> None:
        """`module` is torch_npu.profiler.profiler."""
        activity = module.ProfilerActivity

        def settle(call: Call) -> None:
            able = module.supported_activities()
            self._set_activities(call, activity, able)
            for name, value in self._values.items():
                if name in call.parameters and name != "activities":
                    made = self._build(module, call, name, value)
                    if made is not None:
                        call.set(name, made, self._source)
            config = call.given.get("experimental_config")
            configured = config is not None or self._configured
            call.announce(
                rules.of_profile(
                    call.given, able, configured, getattr(config, "_gc_detect_threshold", None)
                ),
                {},
            )
            if self._domain is not None and activity.CPU not in (
                call.given.get("activities") or able
            ):
                log.once(
                    "no cpu activity",
                    "warning",
                    "without the cpu activity module_statistic finds no operators",
                )

        def made(profile: Any, call: Call) -> None:
            taken = {
                name: getattr(profile.prof_if, name)
                for name in _OF_THE_INTERFACE
                if name in call.parameters
            }
            taken.update(
                {
                    name: getattr(profile, name)
                    for name in _OF_THE_PROFILE
                    if name in call.parameters
                }
            )
            rows = [call.row(name, value, {}) for name, value in taken.items()]
            self._effective.profile_made(type(profile), rows, profile.prof_if.experimental_config)
            if doctor_channel.wanted():
                self.told()

        wrap(module.profile, settle, made, lambda _: False)
        wrap(
            module._KinetoProfile, settle, made, lambda profile: isinstance(profile, module.profile)
        )

    def _set_activities(self, call: Call, activity: Any, able: Any) -> None:
        given = call.given.get("activities")
        if given is not None:
            given = call.given["activities"] = list(given)  # it may be an iterator
        wanted = self._values.get("activities")
        if wanted is not None:
            kinds = [getattr(activity, _ACTIVITIES[word]) for word in wanted if word in _ACTIVITIES]
            missing = [word for word in wanted if word not in _ACTIVITIES]
            if missing:
                log.once(
                    f"npu activities {missing}",
                    "warning",
                    "torch_npu cannot profile an activity that is asked for",
                    activities=missing,
                )
            if kinds:
                call.set("activities", kinds, self._source)
        elif (
            self._domain is not None
            and given
            and activity.CPU not in given
            and all(one in able for one in given)
        ):
            call.set("activities", [*given, activity.CPU], OURS)

    def _build(self, module: ModuleType, call: Call, name: str, value: Any) -> Any:
        """The argument that a value stands for; None where the program's own stays."""
        if name == "schedule":
            return None if call.caller.startswith(_OWN_SCHEDULE) else _schedule(value)
        return module.tensorboard_trace_handler(value) if name == "on_trace_ready" else value


def _schedule(numbers: Mapping[str, int]) -> Any:
    cls = sys.modules["torch_npu.profiler.scheduler"].Schedule
    taken = {
        name: number
        for name, number in numbers.items()
        if name in inspect.signature(cls).parameters
    }
    for name in numbers.keys() - taken.keys():
        log.once(
            f"torch_npu has no {name}",
            "warning",
            "this torch_npu has no such profiler parameter",
            parameter=f"schedule {name}",
        )
    return cls(**taken)
