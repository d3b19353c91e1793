"""The tables of SGLang and diffusers are read where the package is imported, and nowhere else.

The packages are stand-ins of a few lines, and so is torch (tests/stub)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoinstr.targets.rows import LATE_PACKAGES, load_builtin_targets
from tests.conftest import GATE, REPO, Python
from tests.support import recorded

STUB = REPO / "tests" / "stub"
SOURCES = {
    "diffusers/__init__.py": "",
    "diffusers/image_processor.py": "class VaeImageProcessor:\n    def postprocess(self): ...\n",
    "sglang/__init__.py": "",
}
PROGRAM = """\
import json, sys
import torch
from autoinstr.targets import rows
late = [sorted(set(rows.LATE_PACKAGES) & set(rows._tables))]
for name in sys.argv[1:]:
    __import__(name)
    late.append(sorted(set(rows.LATE_PACKAGES) & set(rows._tables)))
if "diffusers.image_processor" in sys.modules:
    sys.modules["diffusers.image_processor"].VaeImageProcessor().postprocess()
print(json.dumps([late, sorted(name for name in sys.modules if name.endswith("sglang_batches"))]))
"""


@pytest.fixture
def path(tmp_path: Path) -> tuple[Path, ...]:
    for name, text in SOURCES.items():
        (tmp_path / "packages" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "packages" / name).write_text(text)
    return (GATE, STUB, tmp_path / "packages")


def test_a_table_is_read_when_its_package_is_imported(
    python: Python, path: tuple[Path, ...]
) -> None:
    out = python.cwd / "run"
    run = python.run(
        *("-c", PROGRAM, "sglang", "diffusers.image_processor"), path=path, on=f"out={out}"
    )
    assert run.stderr == ""
    late, imported = json.loads(run.stdout)
    assert late == [[], ["sglang"], ["diffusers", "sglang"]]
    assert imported == [], "nothing of SGLang was called"
    calls = recorded.named(recorded.the_recording(out))
    assert [call.message for call in calls] == ["diffusers.postprocess"]


def test_a_pattern_needs_every_table(python: Python, path: tuple[Path, ...]) -> None:
    on = f"out={python.cwd / 'run'},targets=diffusers.*"
    run = python.run("-c", PROGRAM, "diffusers.image_processor", path=path, on=on)
    assert run.stderr == ""
    assert json.loads(run.stdout)[0] == [sorted(LATE_PACKAGES)] * 2
    [call] = recorded.named(recorded.the_recording(python.cwd / "run"))
    assert call.message == "diffusers.postprocess"


def test_every_row_of_a_late_table_is_a_method() -> None:
    """A function could be imported by name before its row is known."""
    rows = [row for row in load_builtin_targets() if row.package in LATE_PACKAGES]
    assert len(rows) > 100
    assert all("." in row.qualname for row in rows)
