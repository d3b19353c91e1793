"""Side files of compiled code: private, atomic, and a damaged one costs itself only."""

from __future__ import annotations

import json
import os
import random
import stat
from pathlib import Path
from typing import Any

import pytest

from autoinstr.instrument.compiled import side_files
from autoinstr.instrument.compiled.call_sites import ModuleCall, NodeOrigin
from autoinstr.instrument.compiled.range_plan import TableRow
from autoinstr.instrument.compiled.source_table import SourceTable, decode_table, encode_table

SITE = (ModuleCall("L['self'].layers.0", "Block", 0),)
TABLE = SourceTable(
    {
        "call": [
            TableRow(7, "cpp_fused_0", (NodeOrigin(3, SITE, False), NodeOrigin(None, None, True)))
        ]
    },
    False,
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(side_files, "_folder", [])
    return tmp_path / "autoinstr" / "compiled"


def test_what_is_written_is_read(folder: Path) -> None:
    side_files.write("text", encode_table(TABLE))
    assert side_files.read("text", decode_table) == TABLE
    assert side_files.read("another text", decode_table) is None
    (file,) = folder.iterdir()  # no temporary file is left
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_damaged_files_cost_themselves_only(folder: Path) -> None:
    side_files.write("text", encode_table(TABLE))
    side_files.write("intact", encode_table(TABLE))
    path = side_files.find_path("text")
    assert path is not None
    data = Path(path).read_bytes()
    source = random.Random(5)
    for _ in range(2000):
        changed = bytearray(data)
        for _ in range(source.randrange(1, 4)):
            changed[source.randrange(len(changed))] = source.randrange(256)
        Path(path).write_bytes(bytes(changed[: source.choice((len(changed), 20))]))
        found = side_files.read("text", decode_table)
        assert found is None or isinstance(found, SourceTable)
    for junk in ([], {}, 3, {"version": 1}, {"version": 1, "functions": {"call": [[1]]}}):
        Path(path).write_text(json.dumps(junk))
        assert side_files.read("text", decode_table) is None
    assert side_files.read("intact", decode_table) == TABLE


def test_links_and_folders_of_others_are_not_used(folder: Path, tmp_path: Path) -> None:
    path = side_files.find_path("text")
    assert path is not None
    target = tmp_path / "target"
    target.write_text(json.dumps(encode_table(TABLE)))
    os.symlink(target, path)
    assert side_files.read("text", decode_table) is None
    side_files._folder.clear()
    folder.chmod(0o777)
    found: Any = side_files.find_folder()
    assert found != str(folder)


def test_the_oldest_files_are_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_files, "MAX_FILES", 16)
    for number in range(40):
        side_files.write(f"text {number}", encode_table(TABLE))
    assert len(list(folder.iterdir())) <= 16
    assert side_files.read("text 39", decode_table) == TABLE
