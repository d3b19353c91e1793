"""Check a bundle: compare it with its manifest, and check its permissions."""

from __future__ import annotations

import os
import stat
from typing import Any

from autoinstr.bundle import manifest
from autoinstr.bundle.layout import MANIFEST


def check_bundle(folder: str) -> tuple[dict[str, Any], list[str]]:
    """Return the manifest of a bundle, and a line for each problem.

    AutoinstrError if there is no bundle, OSError if it cannot be read."""
    document = manifest.read_manifest(folder)
    problems = [*compare_files(folder, document), *find_permission_problems(folder)]
    return document, [line if line.isprintable() else ascii(line) for line in problems]


def compare_files(folder: str, document: dict[str, Any]) -> list[str]:
    """Return a line for each file that is missing, changed or extra, sorted by path."""
    hashes: dict[str, str] = document["files"]
    paths = manifest.list_files(folder)
    problems = {path: "missing" for path in hashes if path not in set(paths)}
    for path in paths:
        file = os.path.join(folder, path)
        if path not in hashes:
            problems[path] = "extra"
        elif not stat.S_ISREG(os.lstat(file).st_mode):
            problems[path] = "not a regular file"
        else:
            try:
                if manifest.compute_sha256(file) != hashes[path]:
                    problems[path] = "changed"
            except OSError as error:
                problems[path] = f"cannot be read: {error.strerror}"
    return [f"{path}: {problem}" for path, problem in sorted(problems.items())]


def find_permission_problems(folder: str) -> list[str]:
    """Return a line for each file or folder that not everybody can read, or that others can write.

    On a read-only mount nobody can write, whatever the modes say. An emptyDir volume of Kubernetes
    has mode 0777."""
    is_read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    problems = []
    for path in (".", MANIFEST, *_list_entries(folder)):
        status = os.lstat(os.path.join(folder, path))
        if stat.S_ISLNK(status.st_mode):
            continue  # a bundle has no links: `compare_files` reports them
        mode = stat.S_IMODE(status.st_mode)
        required_mode = 0o555 if stat.S_ISDIR(status.st_mode) else 0o444
        if mode & required_mode != required_mode:
            problems.append(f"{path}: not everybody can read it (mode {mode:04o})")
        if mode & (stat.S_IWGRP | stat.S_IWOTH) and not is_read_only:
            problems.append(f"{path}: others can write to it (mode {mode:04o})")
    return problems


def _list_entries(folder: str) -> list[str]:
    """Return the paths of files and folders, without the manifest, sorted."""
    folders = {os.path.dirname(path) for path in manifest.list_files(folder)} - {""}
    for path in list(folders):
        while os.path.dirname(path):
            path = os.path.dirname(path)
            folders.add(path)
    return sorted([*folders, *manifest.list_files(folder)])
