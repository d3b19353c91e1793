"""Side files: what was known when code was generated, for runs that load the code from a cache.

There is one file for each generated text, named by the SHA-256 of that text. They lie in a private
folder of the user, never in a cache of torch or vLLM. A damaged file costs the ranges of its text
alone."""

from __future__ import annotations

import _thread
import hashlib
import json
import os
from typing import Any, Callable, TypeVar

from autoinstr.base.system import call_without_signals, calls, open_descriptor

_T = TypeVar("_T")

MAX_FILE_BYTES = 16 << 20
MAX_FILES = 4096  # the oldest ones are removed
_folder: list[str | None] = []  # the folder, once it was looked for


def find_folder() -> str | None:
    """Return the folder, and create it; None if there is no private one."""
    if not _folder:
        cache = os.environ.get("XDG_CACHE_HOME") or f"{os.environ.get('HOME', '')}/.cache"
        temporary = os.environ.get("TMPDIR") or "/tmp"
        choices = (
            f"{cache}/autoinstr/compiled",
            f"{temporary}/autoinstr-{calls.getuid()}/compiled",
        )
        _folder.append(next(filter(_make_private, choices), None))
    return _folder[0]


def _make_private(folder: str) -> bool:
    if not folder.startswith("/"):
        return False
    parent = folder.rpartition("/")[0]
    try:
        for path in (parent.rpartition("/")[0], parent, folder):
            try:
                calls.mkdir(path, 0o700)
            except FileExistsError:
                pass
        for path in (parent, folder):
            facts = calls.lstat(path)
            is_folder = facts.st_mode & 0o170000 == 0o040000
            if not is_folder or facts.st_uid != calls.getuid() or facts.st_mode & 0o022:
                return False
        return True
    except OSError:
        return False


def find_path(text: str, kind: str = "source") -> str | None:
    """Return the path of the side file of a generated text."""
    folder = find_folder()
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return None if folder is None else f"{folder}/{kind}-{digest}.json"


def write(text: str, entry: Any, kind: str = "source") -> None:
    """Store the entry of a generated text. What cannot be stored is left out."""
    path = find_path(text, kind)
    if path is None:
        return
    data = json.dumps(entry, separators=(",", ":")).encode()
    if len(data) > MAX_FILE_BYTES:
        return
    temporary = f"{path}.{calls.getpid()}.{_thread.get_ident()}"
    try:
        descriptor = open_descriptor(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            try:
                while data:
                    data = data[call_without_signals(calls.write, descriptor, data) :]
            finally:
                calls.close(descriptor)
            calls.replace(temporary, path)
        except BaseException:
            calls.unlink(temporary)
            raise
        _remove_oldest(path.rpartition("/")[0])
    except OSError:
        pass  # a full disk: the next run that loads this text has no ranges in it


def _remove_oldest(folder: str) -> None:
    names = calls.listdir(folder)
    if len(names) > MAX_FILES:
        paths = [f"{folder}/{name}" for name in names]
        for path in sorted(paths, key=lambda path: calls.lstat(path).st_mtime)[: MAX_FILES // 8]:
            calls.unlink(path)


def read(text: str, decode: Callable[[Any], _T], kind: str = "source") -> _T | None:
    """Return the decoded entry of a generated text; None if there is none or it is damaged."""
    path = find_path(text, kind)
    if path is None:
        return None
    try:
        descriptor = open_descriptor(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if calls.fstat(descriptor).st_uid != calls.getuid():
                return None
            data = b""
            while len(data) <= MAX_FILE_BYTES:
                part = calls.read(descriptor, 1 << 20)
                if not part:
                    break
                data += part
        finally:
            calls.close(descriptor)
        return decode(json.loads(data))
    # Whatever a damaged file contains: the code then has no ranges.
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
