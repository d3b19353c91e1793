"""No input makes memory grow: each entry again and again over the corpus and some damaged copies of
it, in one process."""

from __future__ import annotations

import json
import mmap
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import REPO, clean_environment
from tests.fuzz.entries import ENTRIES

CORPUS = Path(__file__).parent / "corpus"
TIMES = {
    "environment": 1000,
    "patterns": 1000,
    "configuration_file": 300,
    "recording": 20,
    "definitions": 20,
    "merge_inputs": 20,
}
LONGER = 50
# However often an entry runs: caches that fill. A leak of 5 kB for each input is seen in the quick
# runs, one of 100 bytes in the long ones.
MOST = {"traced": 100_000, "resident": 5_000_000, "files": 0}

_kept: list[object] = []


def leaks_objects(data: bytes) -> None:
    _kept.append(bytearray(4096))


def leaks_memory(data: bytes) -> None:
    block = mmap.mmap(-1, 1 << 18)
    block.write(b"x" * (1 << 18))
    _kept.append(block)


def leaks_files(data: bytes) -> None:
    os.open("/dev/null", os.O_RDONLY)


def inputs(name: str, folder: Path) -> list[Path]:
    """What is kept of an entry, and copies with bytes changed, left out and doubled."""
    chance = random.Random(name)
    files = sorted((CORPUS / name).iterdir())
    made = []
    for number in range(4):
        data = bytearray(chance.choice(files).read_bytes())
        for _ in range(5):
            data[chance.randrange(len(data))] = chance.randrange(256)
        cut = chance.randrange(len(data))
        made.append(folder / f"made-{number}")
        made[-1].write_bytes(data[:cut] + data[cut - cut // 4 :] if number % 2 else data[:cut])
    return [*files, *made]


def growth(name: str, times: int, files: Sequence[Path]) -> dict[str, int]:
    """By how much one process has grown: what has grown by too much, and by how much."""
    command = [sys.executable, "-m", "tests.fuzz.growth", name, str(times), *map(str, files)]
    done = subprocess.run(
        command, env=clean_environment(PYTHONPATH=str(REPO)), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, int] = json.loads(done.stdout)
    print(name, times, found)
    return {key: value for key, value in found.items() if value > MOST[key]}


def test_each_entry_is_tried() -> None:
    assert TIMES.keys() == ENTRIES.keys()


@pytest.mark.timeout(240)  # tracemalloc takes its time, and other tests run beside it
@pytest.mark.parametrize("name", TIMES)
def test_nothing_grows(name: str, tmp_path: Path) -> None:
    assert growth(name, TIMES[name], inputs(name, tmp_path)) == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TIMES)
def test_nothing_grows_in_the_long_run(name: str, tmp_path: Path) -> None:
    assert growth(name, LONGER * TIMES[name], inputs(name, tmp_path)) == {}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("entry", "seen"),
    [("leaks_objects", {"traced"}), ("leaks_memory", {"resident"}), ("leaks_files", {"files"})],
    ids=lambda one: str(one),
)
def test_what_grows_is_seen(entry: str, seen: set[str]) -> None:
    found = growth(f"tests.fuzz.test_growth:{entry}", 50, [CORPUS / "recording" / "header-only"])
    assert found.keys() == seen, found
