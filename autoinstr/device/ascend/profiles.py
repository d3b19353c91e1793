"""Find torch_npu profiles under a folder, raw or analysed, and report other profiler output."""

from __future__ import annotations

import json
import os
import re
from typing import Any, NamedTuple

from autoinstr.base.errors import AutoinstrError, UsageError

OUTPUT = "ASCEND_PROFILER_OUTPUT"
BACKUP = f"{OUTPUT}.before-autoinstr"  # older results, during an analysis of ours
SUFFIX = "_ascend_pt"
# Levels below the given folder. Nobody nests profiles deeper, and the limit keeps a mistyped `/`
# from searching the whole disk.
MAX_SEARCH_DEPTH = 8
_DATABASE = re.compile(r"ascend_pytorch_profiler(?:_(\d+))?\.db")
_INFO = re.compile(r"profiler_info(?:_(\d+))?\.json")
_SESSION = re.compile(r"PROF_\d.*")
_MONITOR = re.compile(r"msmonitor_\d+_\d+_-?\d+\.db")
# Results of the export type "text", torch_npu's default.
TEXT_RESULTS = ("trace_view.json", "kernel_details.csv", "op_statistic.csv", "step_trace_time.csv")
_SKIPPED_FOLDERS = ("cluster_analysis_output", "__pycache__", ".git")


class Profile(NamedTuple):
    """One folder of torch_npu's profiler.

    `database` is "" until the profile has been analysed. `raw` says whether it can be analysed,
    `stopped` whether the profiler finished writing it.
    """

    folder: str
    database: str
    rank: int | None
    raw: bool
    stopped: bool

    @property
    def order(self) -> tuple[int, str, str]:
        """The sort key: the rank, then the time in the name (<worker>_<time>_ascend_pt)."""
        parts = os.path.basename(self.folder).split("_")
        return (
            -1 if self.rank is None else self.rank,
            parts[-3] if len(parts) > 3 else "",
            self.folder,
        )


class ProfileSet(NamedTuple):
    """The profiles under `path`, sorted by rank and time.

    `other_data` has lines about profiler output that has no device table.
    """

    path: str
    profiles: list[Profile]
    other_data: list[str]


def find_profiles(path: str, rank: int | None = None) -> ProfileSet:
    """Find the profiles under a folder, which may be a profile or lie inside one.

    With `rank`, return those of that rank only. Raise AutoinstrError if there is no profile,
    UsageError if the path is wrong or no profile has the rank.
    """
    start = _resolve_start(path)
    profiles: list[Profile] = []
    sessions: list[str] = []
    monitors: list[str] = []
    text_folders: list[str] = []
    start_depth = start.rstrip(os.sep).count(os.sep)
    for folder, names, files in os.walk(start):
        names.sort()
        profile = read_profile(folder)
        if profile:
            profiles.append(profile)
            names.clear()
            continue
        if os.path.basename(folder) == OUTPUT and any(map(files.__contains__, TEXT_RESULTS)):
            text_folders.append(os.path.dirname(folder))
        sessions += [os.path.join(folder, name) for name in names if _SESSION.fullmatch(name)]
        monitors += [os.path.join(folder, name) for name in files if _MONITOR.fullmatch(name)]
        if folder.count(os.sep) - start_depth >= MAX_SEARCH_DEPTH:
            names.clear()
        names[:] = [
            name for name in names if name not in _SKIPPED_FOLDERS and not _SESSION.fullmatch(name)
        ]
    other_data = [
        *_describe_other_data(sessions, "msprof session", path),
        *_describe_other_data(monitors, "msMonitor database", path),
    ]
    if not profiles and text_folders:
        raise AutoinstrError(describe_text_results(text_folders[0]))
    if not profiles:
        note = f"; there is {'; '.join(other_data)}" if other_data else ""
        raise AutoinstrError(
            f"{path}: holds no profile of torch_npu ({SUFFIX[1:]} folder, or {OUTPUT} with a "
            f"database){note}"
        )
    if rank is not None:
        ranks = sorted(
            {"none" if profile.rank is None else str(profile.rank) for profile in profiles}
        )
        profiles = [profile for profile in profiles if profile.rank == rank]
        if not profiles:
            raise UsageError(
                f"--rank {rank}: {path} has no profile of this rank (there are: {', '.join(ranks)})"
            )
    return ProfileSet(path, sorted(profiles, key=lambda profile: profile.order), other_data)


def describe_text_results(folder: str) -> str:
    """Say that a profile has the results of the export type "text" alone, which name no links."""
    return (
        f"{folder}: has text results only, and no raw data any more (FRAMEWORK, PROF_*): the table "
        "needs a database: profile with export_type=['text', 'db'] "
        "(AUTOINSTR_PROFILER='export_type=text,db')"
    )


def list_profiles(path: str) -> list[Profile]:
    """Return the profiles under a folder, which may be one; none if there is none.

    Raise AutoinstrError if all that there is are text results."""
    try:
        return find_profiles(path).profiles
    except AutoinstrError as error:
        if "text results only" in str(error):
            raise
        return []


def read_profile(folder: str) -> Profile | None:
    """Return the profile that this folder is, or None."""
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    raw = "FRAMEWORK" in names or (folder.endswith(SUFFIX) and any(map(_SESSION.fullmatch, names)))
    infos = [match for match in map(_INFO.fullmatch, names) if match]
    database = _find_database(os.path.join(folder, OUTPUT)) if OUTPUT in names else None
    if not (raw or database):
        return None
    named_file = database or (infos[0] if infos else None)
    return Profile(
        folder,
        database=os.path.join(folder, OUTPUT, database[0]) if database else "",
        rank=int(named_file[1]) if named_file and named_file[1] else None,
        raw=raw,
        stopped=bool(infos) or not raw,
    )


def read_settings(folder: str) -> dict[str, Any]:
    """Read the profiler's settings from its info file, by the names of torch_npu's parameters.

    Return {} if there is no readable file.
    """
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if _INFO.fullmatch(name):
            try:
                with open(os.path.join(folder, name), encoding="utf-8") as stream:
                    config = json.load(stream)["config"]
                experimental = {
                    key.lstrip("_"): value for key, value in config["experimental_config"].items()
                }
                return {**config["common_config"], **experimental}
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                return {}
    return {}


def label_profiles(profiles: list[Profile]) -> list[str]:
    """Return a label for each: "rank 0", "rank 0 #2" for one of several, or "no rank"."""
    names = ["no rank" if profile.rank is None else f"rank {profile.rank}" for profile in profiles]
    if len(names) == 1 and profiles[0].rank is None:
        return ["profile"]
    return [
        name if names.count(name) == 1 else f"{name} #{names[: index + 1].count(name)}"
        for index, name in enumerate(names)
    ]


def _resolve_start(path: str) -> str:
    """Return the folder to search: of a database, or of a profile's output folder, the profile."""
    if not os.path.exists(path):
        raise UsageError(f"{path}: there is no such directory")
    folder = os.path.abspath(path)
    if os.path.isfile(folder):
        is_database = (
            _DATABASE.fullmatch(os.path.basename(folder))
            and os.path.basename(os.path.dirname(folder)) == OUTPUT
        )
        if not is_database:
            raise UsageError(f"{path}: is a file; give the directory that holds the profiles")
        folder = os.path.dirname(folder)
    return os.path.dirname(folder) if os.path.basename(folder) == OUTPUT else folder


def _find_database(folder: str) -> re.Match[str] | None:
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return next((match for match in map(_DATABASE.fullmatch, names) if match), None)


def _describe_other_data(paths: list[str], kind: str, folder: str) -> list[str]:
    if not paths:
        return []
    suffix = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    example = os.path.relpath(sorted(paths)[0], folder)
    return [
        f"{example}{suffix}: {kind}: has ranges but no operators of torch, so no module table "
        "(profile with torch_npu's profiler)"
    ]
