"""Recognise profiles by their files, and load them."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.device.ascend.loader import load_database
from autoinstr.device.ascend.profiles import list_profiles
from autoinstr.device.ascend.raw_profiles import analyse_raw
from autoinstr.device.kineto.loader import load_trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoinstr.device.ascend.profiles import Profile
    from autoinstr.device.profile_store import ProfileStore

KINETO, ASCEND = "kineto", "ascend"
_TRACE_NAME = re.compile(r".*trace.*\.json(\.gz|\.gzip)?", re.IGNORECASE)
_JSON = re.compile(r".*\.json(\.gz|\.gzip)?", re.IGNORECASE)
_BEGINNINGS = (b"{", b"\x1f\x8b", b"\xef\xbb\xbf{")
_DATABASE_BEGIN = b"SQLite format 3\x00"
_GZIP, _KINETO_MARK = b"\x1f\x8b", b'"schemaVersion"'
_SURE_SUFFIXES = (".pt.trace.json", ".pt.trace.json.gz")  # torch's own trace handler
BEGIN_BYTES = 4_096
MAX_DEPTH = 4  # folders below the given one


class FoundProfile(NamedTuple):
    """A profile: its kind and its file. `raw` is one of torch_npu that is not analysed yet."""

    kind: str
    path: str
    rank: int | None = None
    raw: Profile | None = None


def find_profiles(path: str) -> list[FoundProfile]:
    """Return the profiles at a path: a trace, a database, or a folder that contains some."""
    if os.path.isfile(path):
        kind = find_kind(path)
        return [FoundProfile(kind, path)] if kind else []
    found = [
        FoundProfile(ASCEND, profile.database or profile.folder, profile.rank, profile)
        for profile in list_profiles(path)
    ]
    folders = [profile.raw.folder for profile in found if profile.raw is not None]
    depth = path.rstrip(os.sep).count(os.sep)
    for folder, names, files in os.walk(path):
        names[:] = sorted(name for name in names if os.path.join(folder, name) not in folders)
        if folder in folders or folder.count(os.sep) - depth >= MAX_DEPTH:
            names.clear()
        if folder in folders:
            continue
        found += [
            FoundProfile(KINETO, os.path.join(folder, name))
            for name in sorted(files)
            if _TRACE_NAME.fullmatch(name) and _is_of_kineto(os.path.join(folder, name))
        ]
    return found


def analyse_raw_profiles(found: list[FoundProfile], path: str) -> list[FoundProfile]:
    """Return the profiles with databases for those of torch_npu that were raw."""
    raw = [profile.raw for profile in found if profile.raw is not None and not profile.raw.database]
    if not raw:
        return found
    analysed = {profile.folder: profile for profile in analyse_raw(raw, path)}
    return [
        FoundProfile(ASCEND, current.database, current.rank, current)
        if profile.raw is not None and (current := analysed.get(profile.raw.folder)) is not None
        else profile
        for profile in found
    ]


def find_kind(path: str) -> str:
    """Return the kind of the profile that a file may be; "" if it is none."""
    try:
        with open(path, "rb") as stream:
            begin = stream.read(64)
    except OSError:
        return ""
    name = os.path.basename(path)
    if begin.startswith(_DATABASE_BEGIN) or name.endswith(".db"):
        return ASCEND
    if begin.lstrip().startswith(_BEGINNINGS) or _JSON.fullmatch(name):
        return KINETO
    return ""


def load_profile(profile: FoundProfile, tick: Callable[[int], None]) -> ProfileStore:
    """Return the rows of a profile."""
    if profile.kind == ASCEND:
        return load_database(profile.path, profile.rank, tick)
    return load_trace(profile.path, tick)


def _is_of_kineto(path: str) -> bool:
    """Return whether a file begins as Kineto's traces do; timelines of other tools do not.

    A file of torch's own name is one, however damaged: the reader says what is wrong with it."""
    if path.endswith(_SURE_SUFFIXES):
        return True
    try:
        with open(path, "rb") as stream:
            is_compressed = stream.read(2) == _GZIP
        with gzip.open(path, "rb") if is_compressed else open(path, "rb") as content:
            return _KINETO_MARK in content.read(BEGIN_BYTES)
    except (OSError, EOFError, zlib.error):
        return False
