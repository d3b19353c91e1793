"""Add up the device time of each module in each step of one process, for `diff --time device`.

A kernel belongs to the step that launched it. Steps are those that the profile names, else those of
the recording, else the times from one outermost call to the next."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from autoinstr.device.profile_recording import MODULE_DOMAIN
from autoinstr.diff.run_steps import CALL, PROFILED, ProcessSteps, determine_steps
from autoinstr.diff.tally import StepSeries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.attributes import RecordingAttributes
    from autoinstr.analysis.device_kernels import DeviceKernels
    from autoinstr.analysis.device_rows import ProcessDevice
    from autoinstr.diff.tally import NameKey, PhaseKey
    from autoinstr.recording.reader import Recording


class DeviceSeries(StepSeries):
    """The device time of a module: in each step, in all, and what is not of modules below it."""

    __slots__ = ("calls", "own_ns", "total_ns")

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.total_ns = self.own_ns = 0


def merge_series(parts: Sequence[DeviceSeries]) -> DeviceSeries:
    """Return the sum of several modules of one process."""
    merged = DeviceSeries()
    for part in parts:
        merged.calls += part.calls
        merged.total_ns += part.total_ns
        merged.own_ns += part.own_ns
        merged.steps.extend(part.steps)
        merged.times.extend(part.times)
    merged.sort_steps(None)
    return merged


class DeviceTally:
    """The device times of one process, by name, and of all its kernels, by domain and phase."""

    def __init__(self, step_kind: str) -> None:
        self.step_kind = step_kind
        self.names: dict[NameKey, DeviceSeries] = {}
        self.outermost: dict[PhaseKey, DeviceSeries] = {}


class _Steps:
    """Where the steps of a process begin, in the times of its recording."""

    def __init__(self, kind: str, starts: Sequence[int], end: int) -> None:
        self.kind = kind
        self.starts = starts
        self._end = end

    def find(self, launch_ns: int) -> int | None:
        """Return the step of a launch; None if it lies in none."""
        step = bisect_right(self.starts, launch_ns) - 1
        return step if step >= 0 and launch_ns <= self._end else None


def tally_device(
    profile: ProcessDevice, recording: Recording, attributes: RecordingAttributes
) -> DeviceTally:
    """Read the kernels of a profile and add up their times."""
    kernels = profile.kernels
    assert kernels is not None
    steps = _determine_steps(profile, kernels, recording, attributes)
    tally = DeviceTally(steps.kind)
    sums: dict[tuple[int, int | None], int] = {}  # by scope and step
    for launch_ns, scope, ns in kernels.iterate_launched():
        key = (scope, steps.find(launch_ns))
        sums[key] = sums.get(key, 0) + ns
    # by step first: a series grows in the order of its steps
    for (scope, step), ns in sorted(sums.items(), key=lambda item: (item[0][1] or 0, item[0][0])):
        keys = kernels.list_name_keys(scope)
        phase = keys[0][-1] if keys else None
        whole = tally.outermost.setdefault((MODULE_DOMAIN, phase), DeviceSeries())
        for series in (*_get_series(tally, keys), whole):
            series.total_ns += ns
            if step is not None:
                series.add_time(step, ns)
        if keys:
            tally.names[keys[-1]].own_ns += ns
    for name_key, series in tally.names.items():
        series.calls = kernels.count_calls(name_key) or max(1, len(series.steps))
    for whole in tally.outermost.values():
        whole.calls = max(1, len(whole.steps))
    return tally


def _get_series(tally: DeviceTally, keys: Sequence[NameKey]) -> list[DeviceSeries]:
    """Return the series of these names; a module that calls itself counts once."""
    return [tally.names.setdefault(key, DeviceSeries()) for key in dict.fromkeys(keys)]


def _determine_steps(
    profile: ProcessDevice,
    kernels: DeviceKernels,
    recording: Recording,
    attributes: RecordingAttributes,
) -> _Steps:
    utilisation = profile.times.utilisation
    if utilisation is not None and utilisation.steps:
        intervals = [(entry.step.start_ns, entry.step.end_ns) for entry in utilisation.steps]
        shift_ns = kernels.shift_ns
        end = max(end for _, end in intervals) + shift_ns
        return _Steps(PROFILED, [start + shift_ns for start, _ in intervals], end)
    steps = determine_steps(recording, attributes)
    if isinstance(steps, ProcessSteps):
        return _Steps(steps.kind, steps.times[:-1], steps.times[-1])
    return _Steps(CALL, kernels.list_outermost_starts(), 1 << 62)
