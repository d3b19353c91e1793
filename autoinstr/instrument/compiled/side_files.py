"""Side files: what was known when code was generated, for runs that load the code from a cache.

There is one file for each generated text, named by the SHA-256 of that text. They lie in a private
folder of the user, never in a cache of torch or vLLM. A damaged file costs the ranges of its text
alone."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from typing import Any, Callable, TypeVar

_T = TypeVar("_T")

MAX_FILE_BYTES = 16 << 20
MAX_FILES = 4096  # the oldest ones are removed
_folder: list[str | None] = []  # the folder, once it was looked for


def find_folder() -> str | None:
    """Return the folder, and create it; None if there is no private one."""
    if not _folder:
        user = os.getuid()
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        choices = (
            os.path.join(cache, "autoinstr", "compiled"),
            os.path.join(tempfile.gettempdir(), f"autoinstr-{user}", "compiled"),
        )
        _folder.append(next(filter(_make_private, choices), None))
    return _folder[0]


def _make_private(folder: str) -> bool:
    if not os.path.isabs(folder):
        return False
    try:
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
        for path in (folder, os.path.dirname(folder)):
            facts = os.lstat(path)
            if facts.st_uid != os.getuid() or os.path.islink(path) or facts.st_mode & 0o022:
                return False
        return bool(os.lstat(folder).st_mode & 0o700 == 0o700)
    except OSError:
        return False


def find_path(text: str, kind: str = "source") -> str | None:
    """Return the path of the side file of a generated text."""
    folder = find_folder()
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return None if folder is None else os.path.join(folder, f"{kind}-{digest}.json")


def write(text: str, entry: Any, kind: str = "source") -> None:
    """Store the entry of a generated text. What cannot be stored is left out."""
    path = find_path(text, kind)
    if path is None:
        return
    data = json.dumps(entry, separators=(",", ":")).encode()
    if len(data) > MAX_FILE_BYTES:
        return
    temporary = f"{path}.{os.getpid()}.{threading.get_ident()}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        _remove_oldest(os.path.dirname(path))
    except OSError:
        pass  # a full disk: the next run that loads this text has no ranges in it


def _remove_oldest(folder: str) -> None:
    with os.scandir(folder) as entries:
        files = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
    if len(files) > MAX_FILES:
        files.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime)
        for entry in files[: MAX_FILES // 8]:
            os.unlink(entry.path)


def read(text: str, decode: Callable[[Any], _T], kind: str = "source") -> _T | None:
    """Return the decoded entry of a generated text; None if there is none or it is damaged."""
    path = find_path(text, kind)
    if path is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if os.fstat(descriptor).st_uid != os.getuid():
                return None
            data = stream.read(MAX_FILE_BYTES + 1)
        return decode(json.loads(data))
    # Whatever a damaged file contains: the code then has no ranges.
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
