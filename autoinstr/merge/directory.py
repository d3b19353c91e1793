"""Make the merged run directory: complete, or not at all.

The recordings are copied byte for byte, because the time axis of a report is made of their clock
pairs and boots (analysis/clock.py). So a merged run is a run directory like any other, and can be
merged again."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from typing import NamedTuple

from autoinstr.base.errors import AutoinstrError, RecordingError, UsageError
from autoinstr.base.text import escape_unprintable, format_count
from autoinstr.merge.alignment import (
    MergeSource,
    describe_harmless_step,
    find_unaligned,
    read_last_ns,
)
from autoinstr.merge.causality import find_contradictions
from autoinstr.merge.inputs import (
    RunFiles,
    SkippedFile,
    copy_file,
    find_run_files,
    open_directory,
)
from autoinstr.recording import format as f
from autoinstr.recording.reader import Recording


class MergeResult(NamedTuple):
    """What was merged: lines for the user, the number of run directories, and the recordings."""

    notes: list[str]
    directory_count: int
    sources: list[MergeSource]


class _StagedRecording(NamedTuple):
    """A recording in the staging folder."""

    name: str
    digest: str
    source: MergeSource


def merge_runs(
    paths: Sequence[str],
    output: str,
    *,
    latest: bool,
    skip_unaligned: bool,
    tick: Callable[[int], None],
) -> MergeResult:
    """Write the run directory `output` of the runs at `paths`.

    `tick` is called with the number of bytes copied. With `latest` the newest run below each path
    is chosen. With `skip_unaligned` recordings that cannot be aligned are left out.

    RecordingError: a recording cannot be aligned, or there is nothing to merge. UsageError:
    `output` is an input or not empty. AutoinstrError: `output` cannot be written."""
    _check_output(output, paths)
    runs = list(
        {
            os.path.realpath(run.path): run
            for run in (find_run_files(path, latest=latest) for path in paths)
        }.values()
    )
    _check_output(output, [run.path for run in runs])
    parent = os.path.dirname(os.path.abspath(output))
    try:
        # beside its destination and with mode 0700, to be moved there in one step
        folder = tempfile.mkdtemp(prefix=".autoinstr-merge-", dir=parent)
        try:
            result = _Staging(folder, tick).merge(runs, skip_unaligned)
            os.rename(folder, output)
            return result
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except OSError as error:
        reason = error.strerror or error
        raise AutoinstrError(f"-o {output}: cannot be written: {reason}") from error


def _check_output(output: str, paths: Sequence[str]) -> None:
    if os.path.lexists(output) and (os.path.islink(output) or not os.path.isdir(output)):
        raise UsageError(f"-o {output}: exists and is not a directory; give a new one")
    if os.path.isdir(output) and os.listdir(output):
        raise UsageError(
            f"-o {output}: is not empty; give a new directory "
            "(nothing is ever added to an existing run)"
        )
    target = os.path.realpath(output)
    for path in paths:
        input_path = os.path.realpath(path)
        if os.path.commonpath([target, input_path]) == input_path:
            raise UsageError(
                f"-o {output}: lies inside the input {path}, and inputs are not changed; "
                "give a directory outside"
            )


class _Staging:
    """The folder in which a merged run is made, its recordings, and the notes for the user.

    `_recordings` maps the identity of a process to its recording. A process can be in several
    inputs, as copies or as states of different age."""

    def __init__(self, folder: str, tick: Callable[[int], None]) -> None:
        self._folder = folder
        self._tick = tick
        self._recordings: dict[tuple[object, ...], _StagedRecording] = {}
        self._notes: list[str] = []

    def merge(self, runs: list[RunFiles], skip_unaligned: bool) -> MergeResult:
        """Copy the recordings of the runs, and leave out those that cannot be aligned."""
        for run in runs:
            if not run.names:
                self._note_skipped(run.path, "holds no recording")
            with open_directory(run.path) as directory:
                for name in run.names:
                    source_path = os.path.join(run.path, name)
                    try:
                        self._add(directory, name, source_path)
                    except SkippedFile as skipped:
                        self._note_skipped(source_path, str(skipped))
        if not self._recordings:
            count = len(self._notes) - 1
            suffix = f" (and {count} more like it)" if count else ""
            first = self._notes[0].removeprefix("left out: ")
            raise RecordingError(f"nothing can be merged: {first}{suffix}")
        sources = self._select_aligned(skip_unaligned)
        notes = [*self._notes, *describe_harmless_step(sources), *find_contradictions(sources)]
        return MergeResult(notes, len(runs), sources)

    def _note_skipped(self, path: str, reason: str) -> None:
        self._notes.append(f"left out: {escape_unprintable(path)}: {reason}")

    def _select_aligned(self, skip_unaligned: bool) -> list[MergeSource]:
        """Return the recordings that can be aligned; remove the others if that is allowed."""
        recordings = list(self._recordings.values())
        reasons = find_unaligned([recording.source for recording in recordings])
        if not reasons:
            return [recording.source for recording in recordings]
        first = min(reasons)
        path = escape_unprintable(recordings[first].source.source)
        if not skip_unaligned:
            count = len(reasons) - 1
            suffix = f" (and {format_count(count, 'more recording')} like it)" if count else ""
            raise RecordingError(
                f"{path}: cannot be aligned: {reasons[first]}{suffix}; "
                "--skip-unaligned leaves out what cannot be aligned"
            )
        for index, reason in sorted(reasons.items()):
            recording = recordings[index]
            self._note_skipped(recording.source.source, f"cannot be aligned: {reason}")
            os.unlink(os.path.join(self._folder, recording.name))
        if len(reasons) == len(recordings):
            raise RecordingError(
                f"nothing can be merged: {path}: cannot be aligned: {reasons[first]}"
            )
        return [
            recording.source for index, recording in enumerate(recordings) if index not in reasons
        ]

    def _add(self, directory: int, name: str, source_path: str) -> None:
        """Copy one recording, unless a copy or a later state of it is already there.

        SkippedFile if it is not a readable recording."""
        new_name = self._choose_name(name)
        target = os.path.join(self._folder, new_name)
        digest = copy_file(directory, name, target, self._tick)
        try:
            recording = Recording(target)
        except RecordingError as error:
            os.unlink(target)
            reason = str(error).removeprefix(target).lstrip(": ")
            raise SkippedFile(escape_unprintable(reason)) from None
        boot, pairs = str(recording.header.get("boot") or ""), recording.clock_pairs
        is_closed = recording.state == f.STATE_CLOSED
        source = MergeSource(source_path, target, recording.host, {"boot": boot}, pairs, is_closed)
        process = (boot, recording.host, recording.pid, pairs[0]) if pairs[0][0] else (digest,)
        staged = self._recordings.get(process)
        if staged is not None:
            self._choose_state(process, staged, digest, source, recording)
            return
        self._recordings[process] = _StagedRecording(new_name, digest, source)
        if new_name != name:
            self._notes.append(
                f"{escape_unprintable(source_path)}: another recording has this name; "
                f"it is {escape_unprintable(new_name)} in the merged run"
            )
        for problem in recording.problems:
            text = escape_unprintable(source_path + problem.removeprefix(target))
            self._notes.append(f"damaged: {text}")

    def _choose_state(
        self,
        process: tuple[object, ...],
        staged: _StagedRecording,
        digest: str,
        source: MergeSource,
        recording: Recording,
    ) -> None:
        """Keep the later of two states of one process's recording."""
        old_path, new_path = staged.source.source, source.source
        if digest == staged.digest:
            os.unlink(source.file)
            self._notes.append(
                f"merged once: {escape_unprintable(new_path)} "
                f"is the same as {escape_unprintable(old_path)}"
            )
            return
        if _measure_progress(recording) > _measure_progress(Recording(staged.source.file)):
            os.replace(source.file, staged.source.file)
            source = source._replace(file=staged.source.file)
            self._recordings[process] = _StagedRecording(staged.name, digest, source)
            self._note_skipped(old_path, f"{escape_unprintable(new_path)} is a later state of it")
        else:
            os.unlink(source.file)
            self._note_skipped(new_path, f"{escape_unprintable(old_path)} is a later state of it")

    def _choose_name(self, name: str) -> str:
        """Return the name, or the first numbered one that is free in the folder."""
        stem, number = name[: -len(f.SUFFIX)], 1
        while os.path.lexists(os.path.join(self._folder, name)):
            number += 1
            name = f"{stem}-{number}{f.SUFFIX}"
        return name


def _measure_progress(recording: Recording) -> tuple[int, ...]:
    """Return a key that is larger for the later of two states of one recording."""
    return recording.state == f.STATE_CLOSED, recording.used_bytes, read_last_ns(recording)
