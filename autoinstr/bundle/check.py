"""Is a bundle still what was made, and can every process read it and nobody else write to it?"""

from __future__ import annotations

import os
import stat
from typing import Any

from autoinstr.bundle import manifest
from autoinstr.bundle.layout import MANIFEST


def problems(folder: str) -> tuple[dict[str, Any], list[str]]:
    """The manifest of a bundle, and a line for everything that is not as it was made.
    AutoinstrError where there is no bundle, OSError where it cannot be read."""
    document = manifest.read(folder)
    found = [*differences(folder, document), *permission_problems(folder)]
    return document, [line if line.isprintable() else ascii(line) for line in found]


def differences(folder: str, document: dict[str, Any]) -> list[str]:
    """One line for each file that is missing, changed or extra, sorted by path."""
    said: dict[str, str] = document["files"]
    there = manifest.list_files(folder)
    problems = {path: "missing" for path in said if path not in set(there)}
    for path in there:
        file = os.path.join(folder, path)
        if path not in said:
            problems[path] = "extra"
        elif not stat.S_ISREG(os.lstat(file).st_mode):
            problems[path] = "not a regular file"
        else:
            try:
                if manifest.sha256(file) != said[path]:
                    problems[path] = "changed"
            except OSError as error:
                problems[path] = f"cannot be read: {error.strerror}"
    return [f"{path}: {problem}" for path, problem in sorted(problems.items())]


def permission_problems(folder: str) -> list[str]:
    """One line for each file or folder that not everybody can read, or that somebody else can write
    to.

    Where the file system is mounted read-only nobody can write, whatever the modes say (an emptyDir
    of Kubernetes has 0777)."""
    fixed = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    problems = []
    for path in (".", MANIFEST, *_entries(folder)):
        status = os.lstat(os.path.join(folder, path))
        mode, needed = (
            stat.S_IMODE(status.st_mode),
            0o555 if stat.S_ISDIR(status.st_mode) else 0o444,
        )
        if stat.S_ISLNK(status.st_mode):
            continue  # it is no part of a bundle, which `differences` says
        if mode & needed != needed:
            problems.append(f"{path}: not everybody can read it (mode {mode:04o})")
        if mode & (stat.S_IWGRP | stat.S_IWOTH) and not fixed:
            problems.append(f"{path}: others can write to it (mode {mode:04o})")
    return problems


def _entries(folder: str) -> list[str]:
    """Files and folders, but the manifest."""
    folders = {os.path.dirname(path) for path in manifest.list_files(folder)} - {""}
    for path in list(folders):
        while os.path.dirname(path):
            path = os.path.dirname(path)
            folders.add(path)
    return sorted([*folders, *manifest.list_files(folder)])
