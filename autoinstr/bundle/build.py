"""Make a bundle beside its destination and move it there in one step."""

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
    format_version,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def build(target: str, gate: str, report_step: Callable[[str], None]) -> dict[str, Any]:
    """Make or replace the bundle `target` and return its manifest.

    `gate` is the folder of the gate. `report_step` gets a line about each step. UsageError if
    `target` exists and is not a bundle, AutoinstrError if the bundle cannot be made. After an error
    `target` is unchanged.
    """
    target = os.path.abspath(target)
    _check_target(target)
    libraries = sources.find_libraries()
    files = sources.list_own_files(gate)
    for library in libraries:
        files.update(library.files)
        files.update(library.licenses)
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with _make_draft(target) as draft:
            _copy(files, draft)
            python_interpreters = interpreters.find_interpreters()
            for interpreter in python_interpreters:
                report_step(f"byte code for Python {interpreter.version} ({interpreter.program})")
                interpreters.compile_for(interpreter, draft)
            manifest.write_manifest(draft, _collect_facts(libraries, python_interpreters))
            _set_modes(draft)
            document = manifest.read_manifest(draft)
            _move(draft, target)
    except OSError as error:
        file = f" ({error.filename})" if error.filename else ""
        raise AutoinstrError(
            f"{target}: the bundle cannot be made: {error.strerror or error}{file}"
        ) from None
    return document


def _check_target(target: str) -> None:
    """Raise UsageError if `target` is neither new, nor empty, nor a bundle without foreign files.

    Replacing a bundle deletes it, so it must contain nothing that a user put there."""
    if not os.path.lexists(target):
        return
    if os.path.islink(target) or not os.path.isdir(target):
        raise UsageError(f"{target}: is not a folder; give a new one, or a bundle to replace")
    entries = os.listdir(target)
    if not entries:
        return
    if MANIFEST not in entries:
        raise UsageError(
            f"{target}: is neither empty nor a bundle; give a new folder, or a bundle to replace"
        )
    manifest_files = manifest.read_manifest(target)["files"]
    foreign = [
        path
        for path in manifest.list_files(target)
        if path not in manifest_files and f"{CACHE}/" not in path
    ]
    if foreign:
        raise UsageError(
            f"{target}: contains {foreign[0]}, which is not part of the bundle; move it away first"
        )


@contextmanager
def _make_draft(target: str) -> Iterator[str]:
    """Yield a new folder beside `target`; remove it at the end unless it was moved away."""
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


def _collect_facts(
    libraries: list[sources.LibrarySource], python_interpreters: list[interpreters.Interpreter]
) -> dict[str, Any]:
    """Return the versions for the manifest."""
    return {
        "autoinstr": __version__,
        "python": [format_version(minor) for minor in PYTHONS],
        "libraries": [
            {
                "name": source.library.name,
                "version": source.version,
                "requires_python": source.requires_python,
                "folder": source.library.folder,
                "for_python": [format_version(minor) for minor in source.library.pythons],
                "licenses": sorted(source.licenses),
            }
            for source in libraries
        ],
        "bytecode": [
            {"tag": interpreter.tag, "python": interpreter.version}
            for interpreter in python_interpreters
        ],
    }


def _set_modes(draft: str) -> None:
    """Set the modes of all files and folders, whatever the umask of this process is."""
    for parent, _, names in os.walk(draft):
        os.chmod(parent, FOLDER_MODE)
        for name in names:
            path = os.path.join(parent, name)
            os.chmod(path, PROGRAM_MODE if os.path.relpath(path, draft) == COMMAND else FILE_MODE)


def _move(draft: str, target: str) -> None:
    """Move the draft to `target`, which holds the old bundle or the new one at every moment."""
    if os.path.ismount(target):
        raise AutoinstrError(
            f"{target}: is a mount point, which cannot be replaced in one step; give a folder in it"
        )
    try:
        os.rename(draft, target)  # works if the target is missing or empty
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        _exchange(draft, target)  # afterwards the draft is the old bundle


def _exchange(draft: str, target: str) -> None:
    """Exchange two folders in one step if the system can; otherwise in two."""
    libc = ctypes.CDLL(None, use_errno=True)
    rename = getattr(libc, "renameat2", None)
    if (
        rename is not None
        and rename(_AT_FDCWD, os.fsencode(draft), _AT_FDCWD, os.fsencode(target), _RENAME_EXCHANGE)
        == 0
    ):
        return
    # An old kernel, a network file system or an old C library cannot: there is no bundle for the
    # moment between these two calls.
    old_bundle = f"{draft}.old"
    os.rename(target, old_bundle)
    try:
        os.rename(draft, target)
    except OSError:
        os.rename(old_bundle, target)
        raise
    shutil.rmtree(old_bundle, ignore_errors=True)
