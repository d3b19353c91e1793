"""Look the rows of one package up in the sources of one release, for `tools/compat.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autoinstr.targets.rows import Target, is_in_version
from autoinstr.targets.versions import is_within

if TYPE_CHECKING:
    from autoinstr.instrument.profilers.patched_names import PatchedName
    from autoinstr.targets.source_tree import SourceTree


class Result(NamedTuple):
    """The figures of one release.

    `applying` counts the rows whose bounds include it. `names` are the names of the default set
    that resolve, `patches` the rows of profiler control that apply.
    """

    release: str
    applying: int
    resolved: int
    inherited: int
    names: int
    errors: list[str]
    warnings: list[str]
    patches: int = 0


def check_targets(rows: list[Target], release: str, tree: SourceTree) -> Result:
    """Resolve the rows of one package in one release of it."""
    errors: list[str] = []
    warnings: list[str] = []
    definitions: dict[tuple[str, str], Target] = {}
    applying = resolved = inherited = 0
    names = set()
    rows_outside_bounds = []
    for row in rows:
        definition = tree.find(row.module, row.qualname)
        path = row.module, row.qualname
        if not is_in_version(row, release):
            if definition is not None and (definition.module, definition.qualname) == path:
                rows_outside_bounds.append(row)
            continue
        applying += 1
        target = f"{row.name} ({row.module}:{row.qualname})"
        if definition is None:
            errors.append(f"{target} is not there; nearest: {tree.find_nearest_name(*path)}")
            continue
        resolved += 1
        inherited += definition.qualname != row.qualname
        if row.default:
            names.add(row.name)
        if definition.kind and definition.kind != ("sync" if row.kind == "future" else row.kind):
            errors.append(f"{target} is {definition.kind}, not {row.kind}")
        key = (definition.owner, definition.qualname.rpartition(".")[2])
        if key in definitions:
            errors.append(
                f"{target} is the definition that {definitions[key].name} names as well: "
                f"{definition.module}:{definition.qualname}"
            )
        definitions[key] = row
    resolved_paths = {(row.module, row.qualname) for row in definitions.values()}
    warnings += [
        f"{row.name} ({row.module}:{row.qualname}) is there too"
        for row in rows_outside_bounds
        if (row.module, row.qualname) not in resolved_paths
    ]
    return Result(release, applying, resolved, inherited, len(names), errors, warnings)


def check_patches(rows: list[PatchedName], release: str, tree: SourceTree) -> tuple[int, list[str]]:
    """Return the number of profiler-control rows that apply to the release, and the errors.

    A row that does not exist, or has another kind, is an error.
    """
    applying = [row for row in rows if is_within(release, row.first_release, row.end_release)]
    errors = []
    for row in applying:
        definition = tree.find(row.module, row.qualname)
        target = f"{row.use} ({row.module}:{row.qualname})"
        if definition is None:
            nearest = tree.find_nearest_name(row.module, row.qualname)
            errors.append(f"{target} is not there; nearest: {nearest}")
        elif definition.kind and definition.kind != row.kind:
            errors.append(f"{target} is {definition.kind}, not {row.kind}")
    return len(applying), errors
