"""A run made of profiles alone: recordings are made from their module ranges, in a temporary
folder, so that every report can read them."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING

from autoinstr.analysis.captures import name_classes, read_captures, read_captures_beside
from autoinstr.analysis.device_rows import ProcessDevice, RunDevice, join_profile
from autoinstr.device.profile_kinds import KINETO, FoundProfile, load_profile
from autoinstr.device.profile_recording import shift_time, write_recording
from autoinstr.recording.reader import Recording
from autoinstr.recording.run import Run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from autoinstr.analysis.blocks import ProgressTick
    from autoinstr.device.capture import CapturedGraphs


class ProfileRun:
    """Some profiles as a run, and its device time. Closing it removes the recordings."""

    def __init__(
        self,
        name: str,
        found: Sequence[FoundProfile],
        captures: Sequence[str],
        tick: ProgressTick,
        *,
        with_kernels: bool = False,
    ) -> None:
        """Read the profiles. `with_kernels` keeps each kernel, for timelines."""
        self.device = RunDevice([])
        self._folder = tempfile.mkdtemp(prefix="autoinstr-profile-")
        self._tick = tick
        self._with_kernels = with_kernels
        self._captures = read_captures(captures, tick)
        self._captures_of_process: dict[tuple[int, int | None], list[CapturedGraphs]] = {}
        recordings: list[Recording] = []
        profiles = self.device.profiles
        try:
            for index, profile in enumerate(found):
                recording, device = self._read_profile(index, profile)
                recordings.append(recording)
                profiles.append(device)
            for index, profile in enumerate(found):  # a capture may come after its replays
                process = recordings[index].pid, profiles[index].facts.rank
                if not profiles[index].unplaced:
                    continue
                if not captures and profile.kind == KINETO:
                    beside = read_captures_beside(profile.path, *process, tick)
                    self._captures_of_process.setdefault(process, []).extend(beside)
                if self._captures_of_process.get(process):
                    profiles[index].close()
                    recordings[index], profiles[index] = self._read_profile(index, profile)
            self.device.match_ranks()
        except BaseException:
            self.close()
            raise
        problems = [
            f"{profile.facts.path}: {complaint}"
            for profile in profiles
            for complaint in profile.facts.complaints
        ]
        self.run = Run(name, recordings, problems)

    def __enter__(self) -> ProfileRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the recordings, and close the profiles."""
        self.device.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read_profile(self, index: int, profile: FoundProfile) -> tuple[Recording, ProcessDevice]:
        store = load_profile(profile, self._tick)
        try:
            recording = Recording(write_recording(store, self._folder, self._tick))
        except BaseException:
            store.close()
            raise
        process = store.pid, store.rank
        device = join_profile(
            store,
            recording,
            index,
            store.begin_ns - shift_time(store, store.begin_ns),
            self._tick,
            [*self._captures, *self._captures_of_process.get(process, ())],
            with_kernels=self._with_kernels,
        )
        if device.capture is not None:
            capture = name_classes(device.capture)
            self._captures_of_process.setdefault(process, []).append(capture)
        return recording, device
