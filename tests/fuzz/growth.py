"""`python -m tests.fuzz.growth ENTRY TIMES FILE…`: runs an entry over inputs again and again in one
process, and prints as JSON by how much what it holds has grown from the moment when all had run to
the end: bytes of Python's own, bytes of the process that are in memory, open files."""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import tracemalloc
from pathlib import Path

from tests.fuzz import entries


def held() -> dict[str, int]:
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "traced": tracemalloc.get_traced_memory()[0],
        "resident": resident,
        "files": len(os.listdir("/proc/self/fd")),
    }


def main() -> None:
    name, times, *files = sys.argv[1:]
    if ":" in name:  # of a test's own
        module, _, function = name.partition(":")
        entries.ENTRIES[name] = getattr(importlib.import_module(module), function)
    inputs = [Path(file).read_bytes() for file in files]
    for _ in range(2):
        for data in inputs:
            entries.check(name, data)
        # from the second round on, as it slows everything down: what caches hold has been made
        # under it, too
        tracemalloc.start()
    before = held()
    for at in range(int(times)):
        entries.check(name, inputs[at % len(inputs)])
    after = held()
    print(json.dumps({key: after[key] - before[key] for key in before}))


main()
