"""Join profiles with the recordings of the processes that they were made in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.captures import read_captures, read_run_capture
from autoinstr.analysis.clock import Axis
from autoinstr.analysis.device_rows import ProcessDevice, RunDevice, join_profile
from autoinstr.base.errors import AutoinstrError
from autoinstr.device.capture import has_captures
from autoinstr.device.profile_kinds import load_profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.blocks import ProgressTick
    from autoinstr.device.capture import CapturedGraphs
    from autoinstr.device.profile_kinds import FoundProfile
    from autoinstr.device.profile_store import ProfileStore
    from autoinstr.recording.reader import Recording
    from autoinstr.recording.run import Run

MAX_LISTED = 20  # processes in an error message


class JoinedProfiles(NamedTuple):
    """The device time of a run, None if no profile was joined, and why profiles were not."""

    device: RunDevice | None
    problems: list[str]


def join_profiles(
    run: Run,
    found: Sequence[FoundProfile],
    captures: Sequence[str],
    tick: ProgressTick,
    *,
    with_kernels: bool = False,
) -> JoinedProfiles:
    """Join the profiles with the recordings of a run. `with_kernels` keeps each kernel.

    A profile that cannot be joined is a problem, and the report goes on without it."""
    joiner = _Joiner(run, read_captures(captures, tick), tick, with_kernels)
    for profile in found:
        try:
            joiner.add(profile)
        except AutoinstrError as error:
            joiner.problems.append(str(error))
    return joiner.get_result()


class _Joiner:
    """Joins one profile of each process. Others of a process may say what its graphs captured."""

    def __init__(
        self, run: Run, captures: list[CapturedGraphs], tick: ProgressTick, with_kernels: bool
    ) -> None:
        self.problems: list[str] = []
        self._axis = Axis(run.recordings)
        self._recordings = run.recordings
        self._tick = tick
        self._with_kernels = with_kernels
        self._captures = captures
        self._captures_of_process: dict[int, list[CapturedGraphs]] = {}
        self._joined: dict[int, tuple[FoundProfile, ProcessDevice]] = {}

    def add(self, profile: FoundProfile) -> None:
        """Join a profile. Raise AutoinstrError if that is not possible."""
        if profile.raw is not None and not profile.raw.database:
            raise AutoinstrError(
                f"{profile.path}: is a raw profile: analyse it first (autoinstr analyse "
                f"{profile.path})"
            )
        store = load_profile(profile, self._tick)
        try:
            index = find_recording(self._recordings, store.path, store.pid, store.rank)
            joined = self._joined.get(index)
            is_capture = joined is not None and has_captures(store)
            if is_capture:
                recording, shift_ns = self._recordings[index], self._find_shift(store, index)
                capture = read_run_capture(store, recording, shift_ns, self._tick)
                self._captures_of_process.setdefault(index, []).append(capture)
                store.close()
            elif joined is not None and joined[1].capture is None:
                raise AutoinstrError(
                    f"{profile.path}: is left out, because another profile is of the same "
                    "process (give the one that you mean with --profile)"
                )
        except BaseException:
            store.close()
            raise
        if not is_capture:  # a joined profile with the capture makes room for this one
            self._join(profile, store, index)
        elif joined is not None and joined[1].unplaced:
            self._join(joined[0], load_profile(joined[0], self._tick), index)

    def get_result(self) -> JoinedProfiles:
        """Return what was joined."""
        profiles = [device for _, device in self._joined.values()]
        complaints = [
            f"{device.facts.path}: {line}"
            for device in profiles
            for line in device.facts.complaints
        ]
        device = RunDevice(profiles) if profiles else None
        if device is not None:
            device.match_ranks()
        return JoinedProfiles(device, [*self.problems, *complaints])

    def _join(self, profile: FoundProfile, store: ProfileStore, index: int) -> None:
        device = join_profile(
            store,
            self._recordings[index],
            index,
            self._find_shift(store, index),
            self._tick,
            [*self._captures, *self._captures_of_process.get(index, ())],
            is_aligned=False,
            with_kernels=self._with_kernels,
        )
        if index in self._joined:
            self._joined[index][1].close()
        if device.capture is not None:
            self._captures_of_process.setdefault(index, []).append(device.capture)
        self._joined[index] = profile, device

    def _find_shift(self, store: ProfileStore, index: int) -> int:
        return self._axis.offsets[index] + self._axis.base_ns - store.base_ns


def find_recording(
    recordings: Sequence[Recording], path: str, pid: int | None, rank: int | None
) -> int:
    """Return the index of the process that a profile was made in.

    A process is identified by its pid. If several processes of the run have one pid (on other
    machines or in other containers), the rank decides. Raise AutoinstrError if there is none."""
    candidates = [
        index
        for index, recording in enumerate(recordings)
        if recording.pid == pid and (rank is None or recording.rank in (None, rank))
    ]
    if len(candidates) == 1:
        return candidates[0]
    process = f"process {pid}" + (f", rank {rank}" if rank is not None else "")
    if candidates:
        raise AutoinstrError(
            f"{path}: is of {process}: {len(candidates)} processes of the run have this pid, "
            "and no rank tells them apart"
        )
    processes = ", ".join(
        f"{recording.pid} ({recording.role}"
        f"{'' if recording.rank is None else f', rank {recording.rank}'})"
        for recording in recordings[:MAX_LISTED]
    )
    raise AutoinstrError(
        f"{path}: is of {process}, which is not in this run (its processes: {processes}): "
        "is the trace of another run?"
    )
