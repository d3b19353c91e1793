"""Makes the merged run directory: whole, or not at all.

The recordings are copied byte for byte. Nothing is added and nothing is stamped anew: a recording's
clock pairs and its boot are all that the axis of a report is made of (clock.py), so a merged run is
a run directory like any other, and can be merged again."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from typing import NamedTuple

from autoinstr.base.errors import AutoinstrError, RecordingError, UsageError
from autoinstr.base.text import count, printable
from autoinstr.merge.alignment import Facts, last_ns, stepped, unaligned
from autoinstr.merge.causality import contradictions
from autoinstr.merge.inputs import Left, RunFiles, copy, opened, run_files
from autoinstr.recording import format as f
from autoinstr.recording.reader import Recording


class Merged(NamedTuple):
    """What was merged: a line each for what is to be said, how many recordings and run directories,
    and the facts of each recording."""

    notes: list[str]
    directories: int
    facts: list[Facts]


class _Taken(NamedTuple):
    """A recording in the staging folder; `process` tells its process from every other."""

    name: str
    digest: str
    process: tuple[object, ...]
    facts: Facts


def merge(
    paths: Sequence[str],
    out: str,
    *,
    latest: bool,
    skip_unaligned: bool,
    tick: Callable[[int], None],
) -> Merged:
    """Write the run directory `out` of those at `paths`; `tick` is called with the bytes copied.
    With `skip_unaligned` recordings that cannot be aligned are left out; else they are a
    RecordingError, and so is nothing to merge. UsageError for an `out` that cannot be meant,
    AutoinstrError where it cannot be written."""
    _check(out, paths)
    runs = list(
        {
            os.path.realpath(run.path): run
            for run in (run_files(path, latest=latest) for path in paths)
        }.values()
    )
    _check(out, [run.path for run in runs])
    parent = os.path.dirname(os.path.abspath(out))
    try:
        staging = tempfile.mkdtemp(
            prefix=".autoinstr-merge-", dir=parent
        )  # beside its place: 0700, and moved there in one step
        try:
            merged = _fill(staging, runs, skip_unaligned, tick)
            os.rename(staging, out)
            return merged
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    except OSError as error:
        raise AutoinstrError(f"-o {out}: cannot be written: {error.strerror or error}") from error


def _check(out: str, paths: Sequence[str]) -> None:
    if os.path.lexists(out) and (os.path.islink(out) or not os.path.isdir(out)):
        raise UsageError(f"-o {out}: is there and is not a directory; give a new one")
    if os.path.isdir(out) and os.listdir(out):
        raise UsageError(
            f"-o {out}: is not empty; give a new directory (a merged run is made whole, and nothing is ever added to one)"
        )
    place = os.path.realpath(out)
    for path in paths:
        inside = os.path.realpath(path)
        if os.path.commonpath([place, inside]) == inside:
            raise UsageError(
                f"-o {out}: lies inside {path}, which is to be merged; inputs stay as they are: give a directory elsewhere"
            )


def _fill(
    staging: str, runs: list[RunFiles], skip_unaligned: bool, tick: Callable[[int], None]
) -> Merged:
    notes: list[str] = []
    taken: dict[tuple[object, ...], _Taken] = {}
    for run in runs:
        if not run.names:
            notes.append(f"left out: {printable(run.path)}: holds no recording")
        with opened(run.path) as folder:
            for name in run.names:
                source = os.path.join(run.path, name)
                try:
                    notes += _take(staging, folder, name, source, taken, tick)
                except Left as left:
                    notes.append(f"left out: {printable(source)}: {left}")
    if not taken:
        more = f" (and {len(notes) - 1} more like it)" if len(notes) > 1 else ""
        raise RecordingError(f"nothing can be merged: {notes[0].removeprefix('left out: ')}{more}")
    names, facts = [one.name for one in taken.values()], [one.facts for one in taken.values()]
    reasons = unaligned(facts)
    if reasons and not skip_unaligned:
        more = f" (so {count(len(reasons) - 1, 'more recording')})" if len(reasons) > 1 else ""
        first = min(reasons)
        hint = "--skip-unaligned leaves out what cannot be aligned"
        raise RecordingError(
            f"{printable(facts[first].source)}: cannot be aligned: {reasons[first]}{more}; {hint}"
        )
    for at, reason in sorted(reasons.items()):
        notes.append(f"left out: {printable(facts[at].source)}: cannot be aligned: {reason}")
        os.unlink(os.path.join(staging, names[at]))
    kept = [one for at, one in enumerate(facts) if at not in reasons]
    if not kept:
        raise RecordingError(
            f"nothing can be merged: {printable(facts[0].source)}: cannot be aligned: {reasons[0]}"
        )
    return Merged([*notes, *stepped(kept), *contradictions(kept)], len(runs), kept)


def _take(
    staging: str,
    folder: int,
    name: str,
    source: str,
    taken: dict[tuple[object, ...], _Taken],
    tick: Callable[[int], None],
) -> list[str]:
    """Copy one recording and add it to those taken, unless it is there; returns what is to be said
    of it."""
    place = _free_name(staging, name)
    target = os.path.join(staging, place)
    digest = copy(folder, name, target, tick)
    try:
        recording = Recording(target)
    except RecordingError as error:
        os.unlink(target)
        raise Left(printable(str(error).removeprefix(target).lstrip(": "))) from None
    boot, pairs = str(recording.header.get("boot") or ""), recording.clock_pairs
    facts = Facts(
        source, target, recording.host, {"boot": boot}, pairs, recording.state == f.STATE_CLOSED
    )
    process = (boot, recording.host, recording.pid, pairs[0]) if pairs[0][0] else (digest,)
    old = taken.get(process)
    if old is None:
        taken[process] = _Taken(place, digest, process, facts)
        renamed = f"{printable(source)}: another recording has its name; it is {printable(place)} in the merged run"
        damage = [
            f"damaged: {printable(source + problem.removeprefix(target))}"
            for problem in recording.problems
        ]
        return [*([renamed] if place != name else []), *damage]
    if digest == old.digest:
        os.unlink(target)
        return [f"taken once: {printable(source)} is the same as {printable(old.facts.source)}"]
    kept, left = source, old.facts.source
    if _reach(recording) > _reach(Recording(old.facts.file)):
        os.replace(target, old.facts.file)
        taken[process] = _Taken(old.name, digest, process, facts._replace(file=old.facts.file))
    else:
        os.unlink(target)
        kept, left = left, kept
    return [
        f"left out: {printable(left)}: another state of the process that {printable(kept)} has more of"
    ]


def _reach(recording: Recording) -> tuple[int, ...]:
    """Which of two states of one recording is the later."""
    return recording.state == f.STATE_CLOSED, recording.used_bytes, last_ns(recording)


def _free_name(staging: str, name: str) -> str:
    stem, number = name[: -len(f.SUFFIX)], 1
    while os.path.lexists(os.path.join(staging, name)):
        number += 1
        name = f"{stem}-{number}{f.SUFFIX}"
    return name
