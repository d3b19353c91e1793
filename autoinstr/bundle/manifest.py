"""The manifest of a bundle: versions, and a hash of every other file in it."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from autoinstr.base.errors import AutoinstrError
from autoinstr.bundle.layout import MANIFEST, SCHEMA

_LISTS = {"libraries": ("name", "version"), "bytecode": ("tag", "python")}
MAX_BYTES = 4 << 20  # a real manifest has a few hundred lines


def compute_sha256(path: str) -> str:
    """Return the SHA-256 of a file, in hex. OSError if it cannot be read."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while True:
            chunk = stream.read(1 << 20)
            if not chunk:
                return digest.hexdigest()
            digest.update(chunk)


def write_manifest(folder: str, facts: dict[str, Any]) -> None:
    """Write the manifest for the files that are in `folder` now; `facts` are the versions."""
    files = {path: compute_sha256(os.path.join(folder, path)) for path in list_files(folder)}
    text = json.dumps({"schema": SCHEMA, **facts, "files": files}, indent=1) + "\n"
    with open(os.path.join(folder, MANIFEST), "w", encoding="utf-8") as stream:
        stream.write(text)


def read_manifest(folder: str) -> dict[str, Any]:
    """Return the manifest of the bundle in `folder`. AutoinstrError if there is no usable one."""
    path = os.path.join(folder, MANIFEST)
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        document: dict[str, Any] = json.loads(data) if len(data) <= MAX_BYTES else {}
    except FileNotFoundError:
        raise AutoinstrError(f"{folder}: is not a bundle: it has no {MANIFEST}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise AutoinstrError(f"{path}: cannot be read: {error}") from None
    if not _is_valid(document):
        raise AutoinstrError(f"{path}: is not the manifest of a bundle ({SCHEMA})")
    return document


def _is_valid(document: Any) -> bool:
    """Return whether the fields that are read exist and have the right types."""
    if (
        not isinstance(document, dict)
        or document.get("schema") != SCHEMA
        or not isinstance(document.get("autoinstr"), str)
    ):
        return False
    files = document.get("files")
    lists = [(document.get(name), fields) for name, fields in _LISTS.items()]
    if not isinstance(files, dict) or not all(isinstance(value, str) for value in files.values()):
        return False
    return all(
        isinstance(items, list) and all(_has_texts(item, fields) for item in items)
        for items, fields in lists
    )


def _has_texts(item: Any, fields: tuple[str, ...]) -> bool:
    return isinstance(item, dict) and all(isinstance(item.get(key), str) for key in fields)


def list_files(folder: str) -> list[str]:
    """Return the paths of the files in a bundle, without the manifest, sorted.

    Paths are relative and have slashes. Links count as files and are not followed."""
    paths = []
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        folders[:] = [name for name in folders if name not in links]
        prefix = os.path.relpath(parent, folder).replace(os.sep, "/")
        paths += [name if prefix == "." else f"{prefix}/{name}" for name in (*names, *links)]
    return sorted(path for path in paths if path != MANIFEST)
