"""Which profiles lie under a folder: torch_npu's, raw or analysed; and what is there beside them
that has no modules to tell."""

from __future__ import annotations

import json
import os
import re
from typing import Any, NamedTuple

from autoinstr.base.errors import AutoinstrError, UsageError

OUTPUT = "ASCEND_PROFILER_OUTPUT"
SUFFIX = "_ascend_pt"
# levels below the folder that was named; nobody nests profiles deeper, and a mistyped / must not be
# searched for ever
DEEPEST = 8
_DATABASE = re.compile(r"ascend_pytorch_profiler(?:_(\d+))?\.db")
_INFO = re.compile(r"profiler_info(?:_(\d+))?\.json")
_SESSION = re.compile(r"PROF_\d.*")
_MONITOR = re.compile(r"msmonitor_\d+_\d+_-?\d+\.db")
_CLOSED = ("cluster_analysis_output", "__pycache__", ".git")


class Profile(NamedTuple):
    """One folder of torch_npu's profiler. `database` is "" until it has been analysed; `raw` says
    whether it can be; `stopped` whether the profiler said that it was done."""

    folder: str
    database: str
    rank: int | None
    raw: bool
    stopped: bool

    @property
    def order(self) -> tuple[int, str, str]:
        """By rank, then by the time in the name (<worker>_<time>_ascend_pt)."""
        words = os.path.basename(self.folder).split("_")
        return (
            -1 if self.rank is None else self.rank,
            words[-3] if len(words) > 3 else "",
            self.folder,
        )


class Found(NamedTuple):
    """What lies under `path`: profiles, and lines about what else there is that one might take for
    them."""

    path: str
    profiles: list[Profile]
    others: list[str]


def find(path: str, rank: int | None = None) -> Found:
    """Everything under a folder, which may be a profile itself, or inside of one; of one rank
    alone, if one is given. AutoinstrError where there is none."""
    start = _above(path)
    profiles: list[Profile] = []
    sessions: list[str] = []
    monitors: list[str] = []
    depth = start.rstrip(os.sep).count(os.sep)
    for folder, names, files in os.walk(start):
        names.sort()
        profile = read(folder)
        if profile:
            profiles.append(profile)
            names.clear()
            continue
        sessions += [os.path.join(folder, name) for name in names if _SESSION.fullmatch(name)]
        monitors += [os.path.join(folder, name) for name in files if _MONITOR.fullmatch(name)]
        closed = folder.count(os.sep) - depth >= DEEPEST
        names[:] = (
            []
            if closed
            else [name for name in names if name not in _CLOSED and not _SESSION.fullmatch(name)]
        )
    others = [
        *_other(sessions, "msprof session", path),
        *_other(monitors, "msMonitor database", path),
    ]
    if not profiles:
        beside = f"; there is {'; '.join(others)}" if others else ""
        raise AutoinstrError(
            f"{path}: holds no profile of torch_npu ({SUFFIX[1:]} folder, or {OUTPUT} with a database){beside}"
        )
    if rank is not None:
        there = sorted({"none" if one.rank is None else str(one.rank) for one in profiles})
        profiles = [one for one in profiles if one.rank == rank]
        if not profiles:
            raise UsageError(
                f"--rank {rank}: {path} has no profile of this rank (there are: {', '.join(there)})"
            )
    return Found(path, sorted(profiles, key=lambda one: one.order), others)


def read(folder: str) -> Profile | None:
    """The profile that a folder is, or None."""
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    raw = "FRAMEWORK" in names or (folder.endswith(SUFFIX) and any(map(_SESSION.fullmatch, names)))
    infos = [found for found in map(_INFO.fullmatch, names) if found]
    database = _database(os.path.join(folder, OUTPUT)) if OUTPUT in names else None
    if not (raw or database):
        return None
    told = database or (infos[0] if infos else None)
    rank = int(told[1]) if told and told[1] else None
    return Profile(
        folder,
        os.path.join(folder, OUTPUT, database[0]) if database else "",
        rank,
        raw,
        bool(infos) or not raw,
    )


def settings(folder: str) -> dict[str, Any]:
    """What the profiler was set to, as it wrote it down: the names of torch_npu's parameters. Empty
    where it did not."""
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if _INFO.fullmatch(name):
            try:
                with open(os.path.join(folder, name), encoding="utf-8") as stream:
                    config = json.load(stream)["config"]
                return {
                    **config["common_config"],
                    **{
                        key.lstrip("_"): value
                        for key, value in config["experimental_config"].items()
                    },
                }
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                return {}
    return {}


def labels(profiles: list[Profile]) -> list[str]:
    """What to call each: "rank 0"; "rank 0 #2" where several call themselves so; "no rank" where
    there is none."""
    names = ["no rank" if one.rank is None else f"rank {one.rank}" for one in profiles]
    if len(names) == 1 and profiles[0].rank is None:
        return ["profile"]
    return [
        name if names.count(name) == 1 else f"{name} #{names[: at + 1].count(name)}"
        for at, name in enumerate(names)
    ]


def _above(path: str) -> str:
    """The folder to look in: of a database, or of what lies inside a profile, the profile."""
    if not os.path.exists(path):
        raise UsageError(f"{path}: there is no such directory")
    whole = os.path.abspath(path)
    if os.path.isfile(whole):
        inside = (
            _DATABASE.fullmatch(os.path.basename(whole))
            and os.path.basename(os.path.dirname(whole)) == OUTPUT
        )
        if not inside:
            raise UsageError(f"{path}: is a file; give the directory that holds the profiles")
        whole = os.path.dirname(whole)
    return os.path.dirname(whole) if os.path.basename(whole) == OUTPUT else whole


def _database(folder: str) -> re.Match[str] | None:
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return next((found for found in map(_DATABASE.fullmatch, names) if found), None)


def _other(paths: list[str], what: str, below: str) -> list[str]:
    if not paths:
        return []
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    shown = os.path.relpath(sorted(paths)[0], below)
    return [
        f"{shown}{more}: {what}: has ranges but no operators of torch, so no module table (profile with torch_npu's profiler)"
    ]
