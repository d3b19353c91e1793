"""The newest releases of the packages in the index, for `tools/compat.py --newest`."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from types import ModuleType
from typing import TYPE_CHECKING

from autoinstr.instrument.modules.torch_versions import KNOWN_CALL_CODE, read_call_code

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Package -> a folder of it, and the text there that names a step in its traces. The reports read
# these names (autoinstr/device/kineto/loader.py).
KNOWN_TEXTS = {
    "vllm": ("vllm/v1/worker", r'"execute_(\w+_)?context_'),
    "sglang": ("sglang/srt/utils", r'f"step\['),
}


def find_newest_release(projects: Iterable[str]) -> str:
    """Return the highest release of these names in the index. Raises SystemExit without one."""
    releases = []
    for project in projects:
        command = [sys.executable, "-m", "pip", "index", "versions", project]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.match(r"\S+ \((\S+)\)", process.stdout)
        if found:
            releases.append(found[1])
    if not releases:
        raise SystemExit(f"compat: the index has none of {', '.join(projects)}")
    return max(releases, key=_split_numbers)


def _split_numbers(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)]


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
    """Return an error if the package no longer names its steps as the reports expect."""
    if package not in KNOWN_TEXTS:
        return []
    place, pattern = KNOWN_TEXTS[package]
    files = (folder / place).rglob("*.py")
    if any(re.search(pattern, file.read_text(encoding="utf-8")) for file in files):
        return []
    return [f"no file of {place} has the name of a step: {pattern}"]
