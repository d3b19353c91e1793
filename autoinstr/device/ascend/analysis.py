"""From a folder to module trees: find, analyse what is raw, run msprof-analyze, read what the
databases hold."""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.progress import Progress
from autoinstr.device.ascend import missing_reasons, msprof_analyze, offline, profiles
from autoinstr.device.ascend.database import Facts, Ranges, connect, read_facts, read_ranges
from autoinstr.device.ascend.modules import Module, module_tree
from autoinstr.device.ascend.subprocesses import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoinstr.device.ascend.msprof_analyze import Statistic
    from autoinstr.device.ascend.profiles import Profile


class Result(NamedTuple):
    """One profile: its module tree, or why there is none. `name` is its folder as seen from the one
    that was named, `words` are what the tool that failed said."""

    profile: Profile
    label: str
    name: str
    facts: Facts | None = None
    tree: Module | None = None
    problem: str = ""
    remarks: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


class Analysis(NamedTuple):
    """Everything under one folder. `others` says what else lies there, `remarks` what is to be
    known of the whole."""

    path: str
    results: list[Result]
    others: list[str]
    remarks: list[str]

    @property
    def whole(self) -> list[Result]:
        """Those with a table."""
        return [one for one in self.results if one.tree is not None]


class Tools(NamedTuple):
    """What was asked for: programs by name (None: look for them), and kinds of torch_npu's
    export."""

    msprof_analyze: str | None = None
    python: str | None = None
    kinds: str = "db"


def analyse(path: str, tools: Tools, work: str, rank: int | None = None) -> Analysis:
    """Analyse all profiles under a folder, or those of one rank. Files of ours go into a folder in
    `work`. AutoinstrError where there is nothing, or a tool is missing."""
    found = profiles.find(path, rank)
    work = tempfile.mkdtemp(dir=work)
    program = msprof_analyze.find_program(tools.msprof_analyze)  # before the long part
    raw = [one for one in found.profiles if one.raw and not one.database]
    for one in found.profiles:
        if one.database:
            offline.put_back(one.folder)  # an earlier run was killed between the analysis and this
    problems: dict[str, offline.Analysed] = {}
    if raw:
        python = offline.python_with_torch_npu(tools.python)
        waiting = Waiting(sys.stderr, f"torch_npu's offline analysis of {path}")
        problems = {
            one.profile.folder: one
            for one in offline.analyse(raw, python, tools.kinds, work, waiting)
        }
    now = sorted(
        (problems[one.folder].profile if one.folder in problems else one for one in found.profiles),
        key=lambda one: one.order,
    )
    progress = Progress(sys.stderr, f"ranges of {path}")
    looks = {one.folder: _look_at(one, progress.tick) for one in now if one.database}
    progress.done()
    made = _statistics(
        program,
        [looks[one.folder] for one in now if one.folder in looks and not looks[one.folder].broken],
        path,
        work,
    )
    results = []
    for one, label in zip(now, profiles.labels(now)):
        inside = os.path.relpath(one.folder, path)
        result = Result(
            one, label, os.path.basename(one.folder) if inside.startswith(".") else inside
        )
        if one.folder in looks:
            result = _filled(result, looks[one.folder], made.get(one.folder))
        else:
            result = result._replace(
                problem=problems[one.folder].problem, words=problems[one.folder].words
            )
        results.append(result)
    return Analysis(path, results, found.others, _same_rank(results))


class _Look(NamedTuple):
    """What one database holds; `broken` says why it cannot be read, `missing` why there can be no
    table."""

    profile: Profile
    facts: Facts | None
    ranges: Ranges
    broken: str = ""
    missing: str = ""


def _look_at(profile: Profile, tick: Callable[[int], None]) -> _Look:
    nothing = Ranges({}, 0, 0, 0)
    try:
        connection = connect(profile.database)
        try:
            facts = read_facts(connection)
            ranges = read_ranges(connection, tick) if facts.ranges else nothing
        finally:
            connection.close()
    except sqlite3.Error as error:
        again = "; remove it to analyse the profile again" if profile.raw else ""
        return _Look(
            profile,
            None,
            nothing,
            f"{os.path.basename(profile.database)} cannot be read: {error}{again}",
        )
    return _Look(
        profile,
        facts,
        ranges,
        missing=missing_reasons.missing(facts, profiles.settings(profile.folder)),
    )


def _statistics(program: str, looks: list[_Look], path: str, work: str) -> dict[str, Statistic]:
    """msprof-analyze's rows by folder. One database that it fails on costs it the others: they are
    tried again, one by one."""

    def run(some: list[_Look], what: str) -> list[Statistic]:
        databases = [one.profile.database for one in some]
        return msprof_analyze.module_statistic(
            program, databases, work, Waiting(sys.stderr, f"msprof-analyze of {what}")
        )

    made = run(looks, path) if looks else []
    for at, look in enumerate(looks):
        if not made[at].rows and not look.missing and len(looks) > 1:
            [made[at]] = run([look], look.profile.folder)
    return {look.profile.folder: one for look, one in zip(looks, made)}


def _filled(empty: Result, look: _Look, made: Statistic | None) -> Result:
    if look.facts is None or made is None:
        return empty._replace(problem=look.broken)
    result = empty._replace(facts=look.facts)
    if made.rows:
        return result._replace(
            tree=module_tree(look.ranges, made.rows),
            remarks=tuple(missing_reasons.remarks(look.facts, look.ranges)),
        )
    if look.missing:
        return result._replace(problem=look.missing)
    # Nothing is known to be missing: either all operators lie outside the modules, or
    # msprof-analyze failed, which its words tell.
    if any("ERROR" in line or "Error" in line for line in made.words) and not any(
        "event tree data" in line for line in made.words
    ):
        return result._replace(problem="msprof-analyze failed", words=made.words)
    return result._replace(problem=missing_reasons.outside(look.facts))


def _same_rank(results: list[Result]) -> list[str]:
    """Several profiles of one rank: at the same time they are replicas, one after the other they
    are sessions."""
    lines = []
    ranks: dict[int | None, list[Result]] = {}
    for one in results:
        ranks.setdefault(one.profile.rank, []).append(one)
    for rank, alike in ranks.items():
        if len(alike) < 2:
            continue
        spans = sorted(
            (one.facts.start_ns, one.facts.end_ns)
            for one in alike
            if one.facts and one.facts.start_ns and one.facts.end_ns
        )
        together = any(start < end for (_, end), (start, _) in zip(spans, spans[1:]))
        kind = (
            "at the same time: replicas, or models of one host"
            if together
            else "one after the other: sessions"
        )
        who = "have no rank" if rank is None else f"call themselves rank {rank}"
        lines.append(f"{len(alike)} profiles {who} ({kind}); they are kept apart")
    return lines
