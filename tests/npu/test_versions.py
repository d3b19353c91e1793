"""Our wraps on the Python files of every minor of torch_npu, over a stub of its C layer
(tests/programs/older_torch_npu.py), so nothing is shown of what the C layer does. The files are
those that `make compat` fetches."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO, Python
from tests.programs import PROGRAMS

_LINES = (REPO / "tools" / "compat_releases.txt").read_text().splitlines()
RELEASES = next(line.split()[1:] for line in _LINES if line.startswith("torch_npu:"))
WITHOUT_DOMAINS = ("2.4.0", "2.5.1")
BY_THE_OLDER_NAME = (*WITHOUT_DOMAINS, "2.6.0")
OURS = "autoinstr's default for module_statistic"
# torch_npu's own words for what has just been set, and the versions that lack it.
PAIRS: dict[str, tuple[str, tuple[str, ...]]] = {
    "l2_cache": ("on", ()),
    "record_op_args": ("on", ()),
    "gc_detect_threshold": ("2", ()),
    "profile_memory": ("on", ()),
    "profiler_level": ("Level2", ()),
    "aic_metrics": ("MemoryUB", ()),
    "export_type": (
        "db",
        WITHOUT_DOMAINS[:1],
    ),  # there the C layer is asked whether it can, which is a stub
    "host_sys": ("cpu", WITHOUT_DOMAINS),
    "sys_io": ("on", WITHOUT_DOMAINS),
    "sys_interconnection": ("on", WITHOUT_DOMAINS),
    "mstx_domain_include": ("Module", WITHOUT_DOMAINS),
}


def run(release: str, tmp_path: Path, pairs: str = "") -> tuple[dict[str, Any], str]:
    folder = REPO / ".cache" / "compat" / f"torch_npu-{release}"
    if not folder.is_dir():
        pytest.skip(f"the files of torch_npu {release} are not there: `make compat` fetches them")
    msprof = tmp_path / "bin" / "msprof"  # that there is one on PATH is all that is asked
    msprof.parent.mkdir(parents=True)
    msprof.write_text("#!/bin/sh\n")
    msprof.chmod(0o755)
    env = {
        "PATH": f"{msprof.parent}:{os.environ['PATH']}",
        "PAIRS": pairs,
        "TORCH_DEVICE_BACKEND_AUTOLOAD": "0",
    }
    done = Python(sys.executable, tmp_path).run(
        PROGRAMS / "older_torch_npu.py", folder, path=(REPO,), on=None, env=env
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found, done.stderr


@pytest.mark.long
@pytest.mark.parametrize("release", RELEASES)
def test_defaults_and_start_and_stop(release: str, tmp_path: Path) -> None:
    found, said = run(release, tmp_path)
    rows = found["rows"]
    assert rows["activities"] == ["cpu,npu", OURS]
    assert (
        rows["msprof_tx" if release in BY_THE_OLDER_NAME else "mstx"] == ["on", OURS]
        and found["given to C"] is True
    )
    assert rows["export_type"] == (
        ["text", "program"] if release in WITHOUT_DOMAINS else ["db,text", OURS]
    )
    assert rows["profiler_level"] == ["Level1", "program"] and rows["aic_metrics"] == [
        "PipeUtilization",
        "program",
    ]
    begin, end = ["prepare_start", False], ["report_stopped", "torch_npu"]
    assert found["told"] == [
        begin,
        ["report_started", "torch_npu", False],
        ["prepare_stop", "torch_npu"],
        end,
    ]
    assert found["steps"] == [0, 0, 2, 4]  # nothing in wait and warm-up
    assert "autoinstr:" not in said


@pytest.mark.long
@pytest.mark.parametrize("release", RELEASES)
def test_every_pair_is_set_or_named_as_missing(release: str, tmp_path: Path) -> None:
    there = {
        name: value
        for name, (value, without) in PAIRS.items()
        if name != "export_type" or release not in without
    }
    found, said = run(
        release, tmp_path, ";".join(f"{name}={value}" for name, value in there.items())
    )
    for name, value in there.items():
        if release in PAIRS[name][1]:
            assert f"no such profiler parameter parameter={name}" in said
        else:
            got = found["rows"][name]
            assert got == [value if name != "gc_detect_threshold" else "2.0", "pairs"], name


@pytest.mark.long
def test_what_only_an_older_one_resets_is_said_afterwards(tmp_path: Path) -> None:
    for release, row in {
        "2.9.0": ["PipeUtilization", "pairs, reset by torch_npu"],
        "2.10.0": ["AiCoreNone", "pairs"],
    }.items():
        found, said = run(release, tmp_path / release, "aic_metrics=none")
        assert found["rows"]["aic_metrics"] == row
        assert ("torch_npu has reset a profiler parameter parameter=aic_metrics" in said) is (
            release == "2.9.0"
        )
