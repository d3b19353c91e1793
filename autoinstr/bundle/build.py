"""Makes a bundle beside its place and moves it there whole."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable

from autoinstr import __version__
from autoinstr.base.errors import AutoinstrError, UsageError
from autoinstr.bundle import interpreters, manifest, sources
from autoinstr.bundle.layout import (
    CACHE,
    COMMAND,
    COMMAND_TEXT,
    FILE_MODE,
    FOLDER_MODE,
    MANIFEST,
    PROGRAM_MODE,
    PYTHONS,
    dotted,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def build(target: str, gate: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Make or replace the bundle `target` and return its manifest. `gate` is the folder of the
    gate; `say` is told of each step.

    UsageError where something else than a bundle stands at `target`, AutoinstrError where the
    bundle cannot be made; then `target` is what it was.
    """
    target = os.path.abspath(target)
    _check_place(target)
    libraries = sources.find_libraries()
    files = sources.own_files(gate)
    for library in libraries:
        files.update(library.files)
        files.update(library.licenses)
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with _draft(target) as draft:
            _copy(files, draft)
            compiled = interpreters.find_interpreters()
            for interpreter in compiled:
                say(f"byte code for Python {interpreter.version} ({interpreter.program})")
                interpreters.compile_for(interpreter, draft)
            manifest.write(draft, _facts(libraries, compiled))
            _set_modes(draft)
            document = manifest.read(draft)
            _move(draft, target)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise AutoinstrError(
            f"{target}: the bundle cannot be made: {error.strerror or error}{where}"
        ) from None
    return document


def _check_place(target: str) -> None:
    """Only a bundle that nobody has added to is replaced: what is deleted then is what was made."""
    if not os.path.lexists(target):
        return
    if os.path.islink(target) or not os.path.isdir(target):
        raise UsageError(
            f"{target}: is no folder; give the name of a new one, or of a bundle to replace"
        )
    entries = os.listdir(target)
    if not entries:
        return
    if MANIFEST not in entries:
        raise UsageError(
            f"{target}: is neither empty nor a bundle; give the name of a new folder, or of a bundle to replace"
        )
    known = manifest.read(target)["files"]
    foreign = [
        path
        for path in manifest.list_files(target)
        if path not in known and f"{CACHE}/" not in path
    ]
    if foreign:
        raise UsageError(
            f"{target}: holds {foreign[0]}, which is no part of the bundle there; move it away first"
        )


@contextmanager
def _draft(target: str) -> Iterator[str]:
    """A new folder beside `target`, which is gone afterwards unless it was moved away."""
    parent, name = os.path.split(target)
    draft = tempfile.mkdtemp(prefix=f".{name}.", dir=parent)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _copy(files: dict[str, str], draft: str) -> None:
    for path, source in sorted(files.items()):
        copy = os.path.join(draft, path)
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copyfile(source, copy)
    command = os.path.join(draft, COMMAND)
    os.makedirs(os.path.dirname(command), exist_ok=True)
    with open(command, "w", encoding="ascii") as stream:
        stream.write(COMMAND_TEXT)


def _facts(
    libraries: list[sources.Source], compiled: list[interpreters.Interpreter]
) -> dict[str, Any]:
    return {
        "autoinstr": __version__,
        "python": [dotted(minor) for minor in PYTHONS],
        "libraries": [
            {
                "name": each.library.name,
                "version": each.version,
                "requires_python": each.requires_python,
                "folder": each.library.folder,
                "for_python": [dotted(minor) for minor in each.library.pythons],
                "licenses": sorted(each.licenses),
            }
            for each in libraries
        ],
        "bytecode": [{"tag": each.tag, "python": each.version} for each in compiled],
    }


def _set_modes(draft: str) -> None:
    """What the umask of this process made of them is of no account."""
    for parent, _, names in os.walk(draft):
        os.chmod(parent, FOLDER_MODE)
        for name in names:
            path = os.path.join(parent, name)
            os.chmod(path, PROGRAM_MODE if os.path.relpath(path, draft) == COMMAND else FILE_MODE)


def _move(draft: str, target: str) -> None:
    """At no moment is there a folder at `target` that is neither the old bundle nor the new one, or
    none at all where there was one."""
    if os.path.ismount(target):
        raise AutoinstrError(
            f"{target}: is a mount point, which cannot be replaced in one step; give a folder in it"
        )
    try:
        os.rename(draft, target)  # there is none, or an empty one
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        _exchange(draft, target)  # the old one is the draft then, and goes with it


def _exchange(draft: str, target: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    rename = getattr(libc, "renameat2", None)
    if (
        rename is not None
        and rename(_AT_FDCWD, os.fsencode(draft), _AT_FDCWD, os.fsencode(target), _RENAME_EXCHANGE)
        == 0
    ):
        return
    # An old kernel, a network file system, a C library without it: for the moment between these two
    # there is no bundle.
    aside = f"{draft}.old"
    os.rename(target, aside)
    try:
        os.rename(draft, target)
    except OSError:
        os.rename(aside, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)
