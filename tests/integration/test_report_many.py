"""Runs of many processes: open files and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoinstr.cli.commands.report import FORMATS
from autoinstr.recording.reader import MAX_NAMED_RECORDINGS
from autoinstr.recording.run import open_run
from benchmarks.report_data import LAYER, LAYERS, generate_steps
from tests.conftest import REPO, clean_environment
from tests.support.recordings import make_recording

RANGES_OF_A_STEP = LAYERS * (len(LAYER) + 1) + 1
LIMIT = 48  # files a process may have open: Python's own, and the one that is read

# What `autoinstr report` does, with few file handles; prints the peak of its resident memory in
# MiB.
REPORT = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, {LIMIT}))
from autoinstr.cli import main
status = main(["report", *sys.argv[1:]])
with open("/proc/self/status") as stream:
    memory = next(int(line.split()[1]) for line in stream if line.startswith("VmHWM:"))
print(memory // 1024, file=sys.stderr)
sys.exit(status)
"""


def report(*args: object) -> tuple[bytes, int]:
    """Return standard output, and the peak of resident memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT, *map(str, args)],
        env=clean_environment(PYTHONPATH=str(REPO)),
        capture_output=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, int(done.stderr.split()[-1])


def linked(directory: Path, count: int) -> None:
    """Make this many recordings as links to one file."""
    calls = [
        (0, "", "Net", 100, 9_000),
        *((0, f"layers.{n}", "Layer", 1_000 * n + 200, 1_000 * n + 900) for n in range(8)),
    ]
    first = make_recording(
        str(directory), calls, header={"roles": ["Worker"], "rank": 0, "world_size": 1}
    )
    for number in range(1, count):
        os.link(first, directory / f"host-{number}-aaaaaaaa.airec")


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_run_of_more_recordings_than_a_process_may_open_files(tmp_path: Path, count: int) -> None:
    linked(tmp_path, count)
    table, _ = report(tmp_path)
    assert f"{tmp_path}: {count:,} processes, {9 * count:,} ranges" in table.decode()
    loaded = json.loads(report(tmp_path, "--format", "json")[0])
    assert (len(loaded["processes"]), sum(row["calls"] for row in loaded["rows"])) == (
        count,
        9 * count,
    )
    assert len(report(tmp_path, "--format", "csv")[0].splitlines()) == 1 + 9 * count
    assert len(report(tmp_path, "--format", "pftrace", "-o", "-")[0]) > 200 * count


def test_no_file_stays_open_and_the_names_of_few_recordings_stay_in_memory(tmp_path: Path) -> None:
    linked(tmp_path, 3 * MAX_NAMED_RECORDINGS)
    before = set(os.listdir("/proc/self/fd"))
    run = open_run(str(tmp_path))
    first = next(iter([recording.names for recording in run.recordings]))
    assert set(os.listdir("/proc/self/fd")) == before
    assert sum(recording._names is not None for recording in run.recordings) == MAX_NAMED_RECORDINGS
    assert run.recordings[0].names == first
    assert all(len(list(recording.read_blocks())) == 1 for recording in run.recordings)


def ranks(directory: Path, count: int, each: int, slow: int) -> int:
    """Make the ranks of a model with 24 layers, and return the ranges of one.

    Each rank has this many ranges. One rank takes 50 % longer."""
    calls = list(generate_steps(each // RANGES_OF_A_STEP))
    for rank in range(count):
        mine = (
            [(*call[:3], *(time * 3 // 2 for time in call[3:])) for call in calls]
            if rank == slow
            else calls
        )
        make_recording(
            str(directory),
            mine,
            pid=1000 + rank,
            header={"roles": ["Worker"], "rank": rank, "world_size": count},
        )
    return len(calls)


@pytest.mark.parametrize(
    ("count", "each", "most"),
    [
        (20, 2_500, 100),
        pytest.param(1000, 10_000, 2048, marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
def test_a_thousand_ranks_are_compared_in_bounded_memory(
    tmp_path: Path, count: int, each: int, most: int
) -> None:
    slow = count * 3 // 4
    one = ranks(tmp_path, count, each, slow)
    table, peak = report(tmp_path)
    lines = table.decode().splitlines()
    assert lines[0].startswith(
        f"{tmp_path}: {count:,} processes, {count * one:,} ranges, 0 dropped"
    )
    assert len(lines) <= 46
    assert any(
        line.startswith(
            f"  {count:,} like Worker rank {slow} of {count}, pid {1000 + slow}: "
            "busy inside ranges "
        )
        for line in lines
    )
    said = (
        f"* Worker rank {slow} of {count}, pid {1000 + slow} takes 1.50 × the median of "
        f"{count:,} similar processes in Model ("
    )
    assert any(line.startswith(said) for line in lines)
    peaks = {"table": peak}
    for kind in ("json", "csv", "html", "pftrace", "speedscope"):
        peaks[kind] = report(tmp_path, "--format", kind, "-o", tmp_path / "out")[1]
        assert (tmp_path / "out").stat().st_size > 100 * count
        if kind == "json":
            loaded = json.loads((tmp_path / "out").read_bytes())
            assert sum(row["calls"] for row in loaded["rows"]) == count * one
            del loaded
    print(f"{count:,} ranks of {one:,} ranges, peak MiB: {peaks}")
    assert max(peaks.values()) < most


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_million_ranges_over_eight_processes_in_bounded_memory(tmp_path: Path) -> None:
    one = ranks(tmp_path, 8, 1_250_000, 5)
    peaks = {}
    for kind in FORMATS:
        peaks[kind] = report(tmp_path, "--format", kind, "-o", tmp_path / f"out-{kind}")[1]
        assert (tmp_path / f"out-{kind}").stat().st_size > 1000
    print(f"8 processes of {one:,} ranges, peak MiB: {peaks}")
    assert max(peaks.values()) < 1024
