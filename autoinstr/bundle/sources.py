"""Find the files of a bundle: this package, its gate, and the libraries installed beside it."""

from __future__ import annotations

import os
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.errors import AutoinstrError
from autoinstr.bundle.layout import (
    CACHE,
    GATE,
    LIBRARIES,
    LICENSES,
    PACKAGE,
    Library,
    format_version,
)
from autoinstr.bundle.requires import is_allowed

if TYPE_CHECKING:
    from collections.abc import Iterator

    Files = dict[str, str]  # path in the bundle -> path on disk

INSTALL_HINT = "python -m pip install 'autoinstr[bundle]' installs suitable versions"
_LICENSE_NAMES = ("licen", "copying", "notice")


class LibrarySource(NamedTuple):
    """One library as it is installed here; `files` and `licenses` map paths in the bundle."""

    library: Library
    version: str
    requires_python: str
    files: dict[str, str]
    licenses: dict[str, str]


def list_own_files(gate: str) -> Files:
    """Return the files of the package, of its gate (in the folder `gate`), and the licence."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    has_gate = os.path.dirname(gate) == package  # in a wheel
    files = {
        f"{PACKAGE}/{path}": file
        for path, file in _walk_files(package)
        if not (has_gate and path.startswith(f"{GATE}/"))
    }
    files.update((f"{GATE}/{path}", file) for path, file in _walk_files(gate))
    files[f"{LICENSES}/{PACKAGE}/LICENSE"] = _find_own_license(package)
    return files


def _find_own_license(package: str) -> str:
    checkout_license = os.path.join(os.path.dirname(package), "LICENSE")
    if not is_in_site_packages(package) and os.path.isfile(checkout_license):
        return checkout_license
    licenses = list(_list_licenses(_find_distribution(PACKAGE)).values())
    if not licenses:
        raise AutoinstrError("the licence of autoinstr is missing: the installation is incomplete")
    return licenses[0]


def is_in_site_packages(package: str) -> bool:
    """Return whether the package was installed, not checked out."""
    return os.path.basename(os.path.dirname(package)) in ("site-packages", "dist-packages")


def _walk_files(folder: str) -> Iterator[tuple[str, str]]:
    """Yield (path below the folder, path) of every file that belongs to a release."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != CACHE and not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith(("~", ".pyc", ".so")):
                path = os.path.join(parent, name)
                yield os.path.relpath(path, folder).replace(os.sep, "/"), path


def find_libraries() -> list[LibrarySource]:
    """Return every library as it is installed in this environment.

    AutoinstrError names the first one that is missing or has an unsuitable version."""
    return [_find_library(library) for library in LIBRARIES]


def _find_library(library: Library) -> LibrarySource:
    distribution = _find_distribution(library.name)
    version, requires = distribution.version, distribution.metadata["Requires-Python"] or ""
    refused_versions = [
        format_version(minor) for minor in library.pythons if not is_allowed(requires, minor)
    ]
    if refused_versions:
        raise AutoinstrError(
            f"{library.name} {version} needs Python {requires}, but a bundle is also for Python "
            f"{refused_versions[0]}: {INSTALL_HINT}"
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
        f"{LICENSES}/{library.name}/{name}": path
        for name, path in _list_licenses(distribution).items()
    }
    for kind, paths in (("files", files), ("licence", licenses)):
        if not paths or not all(os.path.isfile(path) for path in paths.values()):
            raise AutoinstrError(
                f"the {kind} of {library.name} {version} cannot be found in this environment: "
                f"{INSTALL_HINT}"
            )
    return LibrarySource(library, version, requires, files, licenses)


def _find_distribution(name: str) -> metadata.Distribution:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise AutoinstrError(
            f"{name} is not installed in this environment: {INSTALL_HINT}"
        ) from None


def _list_licenses(distribution: metadata.Distribution) -> dict[str, str]:
    """Return the paths of the licence files beside the metadata, by name."""
    return {
        file.name: str(file.locate())
        for file in distribution.files or ()
        if file.parts[0].endswith(".dist-info") and file.name.lower().startswith(_LICENSE_NAMES)
    }
