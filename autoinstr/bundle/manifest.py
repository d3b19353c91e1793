"""What a bundle says of itself: versions, and a hash of every file in it but this one."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from autoinstr.base.errors import AutoinstrError
from autoinstr.bundle.layout import MANIFEST, SCHEMA

_LISTS = {"libraries": ("name", "version"), "bytecode": ("tag", "python")}
LARGEST = 4 << 20  # bytes; a real one has some hundred lines


def sha256(path: str) -> str:
    """Of a file's bytes, in hex. OSError where it cannot be read."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while True:
            piece = stream.read(1 << 20)
            if not piece:
                return digest.hexdigest()
            digest.update(piece)


def write(folder: str, facts: dict[str, Any]) -> None:
    """Write the manifest of the bundle in `folder` as it is now."""
    files = {path: sha256(os.path.join(folder, path)) for path in list_files(folder)}
    text = json.dumps({"schema": SCHEMA, **facts, "files": files}, indent=1) + "\n"
    with open(os.path.join(folder, MANIFEST), "w", encoding="utf-8") as stream:
        stream.write(text)


def read(folder: str) -> dict[str, Any]:
    """The manifest of the bundle in `folder`. AutoinstrError where there is none that can be
    used."""
    path = os.path.join(folder, MANIFEST)
    try:
        with open(path, "rb") as stream:
            data = stream.read(LARGEST + 1)
        document: dict[str, Any] = json.loads(data) if len(data) <= LARGEST else {}
    except FileNotFoundError:
        raise AutoinstrError(f"{folder}: is no bundle: it has no {MANIFEST}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise AutoinstrError(f"{path}: cannot be read: {error}") from None
    if not _is_whole(document):
        raise AutoinstrError(f"{path}: is not the manifest of a bundle ({SCHEMA})")
    return document


def _is_whole(document: Any) -> bool:
    """What is read of it is there, and of its type."""
    if (
        not isinstance(document, dict)
        or document.get("schema") != SCHEMA
        or not isinstance(document.get("autoinstr"), str)
    ):
        return False
    files, lists = (
        document.get("files"),
        [(document.get(name), fields) for name, fields in _LISTS.items()],
    )
    if not isinstance(files, dict) or not all(isinstance(value, str) for value in files.values()):
        return False
    return all(
        isinstance(items, list) and all(_has_texts(item, fields) for item in items)
        for items, fields in lists
    )


def _has_texts(item: Any, fields: tuple[str, ...]) -> bool:
    return isinstance(item, dict) and all(isinstance(item.get(key), str) for key in fields)


def list_files(folder: str) -> list[str]:
    """Everything in a bundle that is no folder, but the manifest, as paths with slashes, sorted.
    Links are not followed."""
    found = []
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        folders[:] = [name for name in folders if name not in links]
        below = os.path.relpath(parent, folder).replace(os.sep, "/")
        found += [name if below == "." else f"{below}/{name}" for name in (*names, *links)]
    return sorted(path for path in found if path != MANIFEST)
