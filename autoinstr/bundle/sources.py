"""Where the files of a bundle come from: this package and its gate, and the libraries installed
beside it."""

from __future__ import annotations

import os
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.errors import AutoinstrError
from autoinstr.bundle.layout import CACHE, GATE, LIBRARIES, LICENSES, PACKAGE, Library, dotted
from autoinstr.bundle.requires import allows

if TYPE_CHECKING:
    from collections.abc import Iterator

    Files = dict[str, str]  # path in the bundle -> path on disk

HOW = "python -m pip install 'autoinstr[bundle]' brings versions that will do"
_LICENSE_NAMES = ("licen", "copying", "notice")


class Source(NamedTuple):
    """One library as it is installed here."""

    library: Library
    version: str
    requires_python: str
    files: dict[str, str]
    licenses: dict[str, str]


def own_files(gate: str) -> Files:
    """The package, its gate (which lies in the folder `gate`) and its licence."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    within = os.path.dirname(gate) == package  # a wheel has the gate inside the package
    files = {
        f"{PACKAGE}/{path}": file
        for path, file in _tree(package)
        if not (within and path.startswith(f"{GATE}/"))
    }
    files.update((f"{GATE}/{path}", file) for path, file in _tree(gate))
    files[f"{LICENSES}/{PACKAGE}/LICENSE"] = _own_license(package)
    return files


def _own_license(package: str) -> str:
    beside = os.path.join(os.path.dirname(package), "LICENSE")  # a checkout
    if not within_site_packages(package) and os.path.isfile(beside):
        return beside
    found = list(_licenses(_distribution(PACKAGE)).values())
    if not found:
        raise AutoinstrError("the licence of autoinstr is missing: the installation is incomplete")
    return found[0]


def within_site_packages(package: str) -> bool:
    """Whether the package was installed, not checked out."""
    return os.path.basename(os.path.dirname(package)) in ("site-packages", "dist-packages")


def _tree(folder: str) -> Iterator[tuple[str, str]]:
    """(path below the folder, path) of every file that belongs to a release."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != CACHE and not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith(("~", ".pyc", ".so")):
                path = os.path.join(parent, name)
                yield os.path.relpath(path, folder).replace(os.sep, "/"), path


def find_libraries() -> list[Source]:
    """Every library as installed in this environment. AutoinstrError names the first that is
    missing or does not fit."""
    return [_find(library) for library in LIBRARIES]


def _find(library: Library) -> Source:
    distribution = _distribution(library.name)
    version, requires = distribution.version, distribution.metadata["Requires-Python"] or ""
    unfit = [dotted(minor) for minor in library.pythons if not allows(requires, minor)]
    if unfit:
        raise AutoinstrError(
            f"{library.name} {version} needs Python {requires}, and a bundle is for Python {unfit[0]} too: {HOW}"
        )
    files = {}
    for file in distribution.files or ():
        if (
            file.parts[0] in library.modules
            and file.suffix in (".py", ".typed")
            and CACHE not in file.parts
        ):
            files[f"{library.folder}/{file.as_posix()}"] = str(file.locate())
    licenses = {
        f"{LICENSES}/{library.name}/{name}": path for name, path in _licenses(distribution).items()
    }
    for kind, found in (("files", files), ("licence", licenses)):
        if not found or not all(os.path.isfile(path) for path in found.values()):
            raise AutoinstrError(
                f"the {kind} of {library.name} {version} cannot be found in this environment: {HOW}"
            )
    return Source(library, version, requires, files, licenses)


def _distribution(name: str) -> metadata.Distribution:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise AutoinstrError(f"{name} is not installed in this environment: {HOW}") from None


def _licenses(distribution: metadata.Distribution) -> dict[str, str]:
    """The licence files beside the metadata, by name."""
    return {
        file.name: str(file.locate())
        for file in distribution.files or ()
        if file.parts[0].endswith(".dist-info") and file.name.lower().startswith(_LICENSE_NAMES)
    }
