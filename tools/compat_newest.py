"""The newest releases of the packages in the index, for `tools/compat.py --newest`."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from types import ModuleType
from typing import TYPE_CHECKING

from autoinstr.instrument.compiled import known_texts
from autoinstr.instrument.modules.torch_versions import KNOWN_CALL_CODE, read_call_code
from autoinstr.instrument.profilers.patched_names import ROWS
from autoinstr.targets.getters import GETTERS
from autoinstr.targets.rows import is_in_version
from autoinstr.targets.versions import is_within, parse_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from autoinstr.targets.rows import Target
    from autoinstr.targets.source_tree import SourceTree

# Package -> a folder of it, and the text there that names a step in its traces. The reports read
# these names (autoinstr/device/kineto/loader.py).
KNOWN_TEXTS = {
    "vllm": ("vllm/v1/worker", r'"execute_(\w+_)?context_'),
    "sglang": ("sglang/srt/utils", r'f"step\['),
}


# Getters that read no argument.
_NO_READERS = frozenset(name for name in GETTERS if name == "draft" or name.endswith("_phase"))


def list_newest_releases(projects: Iterable[str], has_candidates: bool = False) -> list[str]:
    """Return the releases of these names in the index, the highest first.

    With `has_candidates`, release candidates count too. Raises SystemExit if there are none."""
    releases: set[str] = set()
    for project in projects:
        command = [sys.executable, "-m", "pip", "index", "versions", project]
        command += ["--pre"] if has_candidates else []
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        match = re.search(r"^Available versions: (.+)$", process.stdout, re.MULTILINE)
        # A local version, as 2.13.0+cpu, is not of the index.
        releases.update(
            release for release in (match[1].split(", ") if match else ()) if "+" not in release
        )
    if not releases:
        raise SystemExit(f"compat: the index has none of {', '.join(projects)}")
    return sorted(releases, key=lambda release: parse_version(release) or ((), 0, 0), reverse=True)


def check_call_code(folder: Path) -> list[str]:
    """Return an error if torch's calling code has a text that nobody has compared."""
    module = ModuleType("torch.nn.modules.module")
    module.__file__ = str(folder / "torch" / "nn" / "modules" / "module.py")
    text = read_call_code(module)
    if text is not None and zlib.crc32(text.encode()) in KNOWN_CALL_CODE:
        return []
    checksum = "" if text is None else f" (checksum {zlib.crc32(text.encode())})"
    return [f"the code of Module.__call__ is unknown{checksum}: calls take the slow path"]


def check_known_texts(package: str, folder: Path) -> list[str]:
    """Return an error if the package no longer names its steps as the reports expect.

    Of torch: if a function that generates compiled code is not known."""
    if package == "torch":
        unknown = known_texts.find_unknown(str(folder / "torch"))
        return [f"no ranges in compiled code: {unknown}"] if unknown else []
    if package not in KNOWN_TEXTS:
        return []
    place, pattern = KNOWN_TEXTS[package]
    files = (folder / place).rglob("*.py")
    if any(re.search(pattern, file.read_text(encoding="utf-8")) for file in files):
        return []
    return [f"no file of {place} has the name of a step: {pattern}"]


def compare_parameters(
    package: str,
    rows: Sequence[Target],
    releases: tuple[str, str],
    trees: tuple[SourceTree, SourceTree],
) -> list[str]:
    """Return an error for each callable whose arguments are read and whose parameters changed.

    `releases` are the last one that is listed and the newest one, `trees` their sources."""
    read_callables = [
        (row.name, row.module, row.qualname)
        for row in rows
        if row.package == package
        and not _NO_READERS.issuperset(row.attributes)
        and all(is_in_version(row, release) for release in releases)
    ]
    read_callables += [
        (row.use, row.module, row.qualname)
        for row in ROWS
        if row.package == package
        and all(is_within(release, row.first_release, row.end_release) for release in releases)
    ]
    errors = []
    for name, module, qualname in read_callables:
        known, newest = (tree.find(module, qualname) for tree in trees)
        if known is not None and newest is not None and known.parameters != newest.parameters:
            errors.append(
                f"{name} ({module}:{qualname}) has the parameters ({', '.join(newest.parameters)}),"
                f" in {releases[0]} it has ({', '.join(known.parameters)})"
            )
    return errors
