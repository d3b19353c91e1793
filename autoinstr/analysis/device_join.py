"""Join profiles with the recordings of the processes that they were made in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.analysis.clock import Axis
from autoinstr.analysis.device_rows import ProcessDevice, RunDevice, join_profile
from autoinstr.analysis.profile_run import read_captures
from autoinstr.base.errors import AutoinstrError
from autoinstr.device.capture import GraphPlacer
from autoinstr.device.profile_kinds import load_profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.analysis.blocks import ProgressTick
    from autoinstr.device.profile_kinds import FoundProfile
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
    axis = Axis(run.recordings)
    captured = read_captures(captures, tick)
    profiles: list[ProcessDevice] = []
    problems: list[str] = []
    for profile in found:
        try:
            if profile.raw is not None and not profile.raw.database:
                raise AutoinstrError(
                    f"{profile.path}: is a raw profile: analyse it first (autoinstr analyse "
                    f"{profile.path})"
                )
            store = load_profile(profile, tick)
            try:
                index = find_recording(run.recordings, store.path, store.pid, store.rank)
                if any(entry.facts.process == index for entry in profiles):
                    raise AutoinstrError(
                        f"{profile.path}: is left out, because another profile is of the same "
                        "process (give the one that you mean with --profile)"
                    )
            except AutoinstrError:
                store.close()
                raise
            device = join_profile(
                store,
                run.recordings[index],
                index,
                axis.offsets[index] + axis.base_ns - store.base_ns,
                tick,
                GraphPlacer(captured),
                is_aligned=False,
                with_kernels=with_kernels,
            )
            profiles.append(device)
            problems += [f"{profile.path}: {line}" for line in device.facts.complaints]
        except AutoinstrError as error:
            problems.append(str(error))
    return JoinedProfiles(RunDevice(profiles) if profiles else None, problems)


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
