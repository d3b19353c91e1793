"""`autoinstr merge` on recordings of the real writer, with changed clock pairs.

One test uses two machines with different monotonic clocks (tests/support/machines.py)."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.base.text import format_duration
from autoinstr.merge.directory import merge_runs
from autoinstr.recording import format as f
from autoinstr.recording.reader import Recording
from tests.conftest import REPO, clean_environment
from tests.integration.test_report_recordings import written
from tests.programs import PROGRAMS
from tests.support.annotated import step_of, work_of, write
from tests.support.machines import elsewhere
from tests.support.recordings import make_recording

NOW = 1_795_389_621_000_000_000
SECOND = 10**9
DAY = 86_400 * SECOND
CALLS = [(0, "", "Model", 1_000, 9_000), (0, "layers.0", "Layer", 2_000, 4_000)]
BOTH_PAIRS = (f.H_START_WALL, f.H_START_CLOCK, f.H_END_WALL, f.H_END_CLOCK)


def stamp(file: str | Path, *pairs: tuple[int, int]) -> None:
    """Write pairs of wall clock and perf_counter into a recording, for its opening and its end."""
    with open(file, "r+b") as stream:
        for word, value in zip(BOTH_PAIRS, (value for pair in pairs for value in pair)):
            stream.seek(8 * word)
            stream.write(struct.pack("<Q", value))


def recording(
    folder: Path,
    host: str,
    *,
    rank: int = 0,
    boot: str | None = None,
    wall: int = NOW,
    step: int = 0,
    **more: Any,
) -> Path:
    """Make the recording of a process that ran for ten seconds.

    The machine had booted one second before. The wall clock is stepped at the end of the process.
    """
    header = {
        "host": host,
        "boot": f"boot of {host}" if boot is None else boot,
        "rank": rank,
        "world_size": 2,
    }
    file = make_recording(
        str(folder), more.pop("calls", CALLS), pid=10 + rank, header=header, **more
    )
    stamp(file, (wall, SECOND), (wall + 10 * SECOND + step, 11 * SECOND))
    return Path(file)


def merge(
    *args: object, status: int = 0, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "autoinstr", "merge", *map(str, args)],
        env=clean_environment(PYTHONPATH=str(REPO), **(env or {})),
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == status, done.stderr
    if status:
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("autoinstr: error: ")
    return done


def report(folder: Path, *args: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "autoinstr", "report", str(folder), *args, "-o", "-"],
        env=clean_environment(PYTHONPATH=str(REPO)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--format" in args else done.stdout


def listed(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in listed(folder)}


# -- what comes out --------------------------------------------------------------------------------


def test_two_hosts_become_one_private_run_byte_for_byte(tmp_path: Path) -> None:
    first = recording(tmp_path / "a", "a", rank=0)
    second = recording(tmp_path / "b", "b", rank=1, wall=NOW + 3 * SECOND, step=40_000)
    second = second.rename(second.with_name("b-11-00000000.airec"))
    before = {
        folder: (contents(tmp_path / folder), os.stat(tmp_path / folder).st_mtime_ns)
        for folder in "ab"
    }
    done = merge(
        tmp_path / "a", tmp_path / "b", "-o", tmp_path / "all", env={"PYTHONWARNINGS": "error"}
    )
    assert contents(tmp_path / "all") == {**before["a"][0], **before["b"][0]}
    assert {
        folder: (contents(tmp_path / folder), os.stat(tmp_path / folder).st_mtime_ns)
        for folder in "ab"
    } == before
    assert stat.S_IMODE(os.stat(tmp_path / "all").st_mode) == 0o700
    assert {
        stat.S_IMODE(os.stat(tmp_path / "all" / one.name).st_mode) for one in (first, second)
    } == {0o600}
    assert listed(tmp_path) == ["a", "all", "b"]  # nothing of ours is left beside
    assert done.stdout.splitlines() == [
        f"merged 2 recordings of 2 run directories into {tmp_path}/all",
        "  a: 1 recording on one clock; clock pairs agree within 0 ns",
        "  b: 1 recording on one clock; clock pairs agree within 40.00 µs",
        "2 machines (a, b) on one axis by their wall clocks: across machines, times are as "
        "accurate as NTP had set the clocks, and the clock pairs leave 40.00 µs of error",
        f"next: autoinstr report {tmp_path}/all",
    ]
    assert done.stderr == ""
    found = report(tmp_path / "all", "--format", "json")
    assert [(one["host"], one["rank"]) for one in found["processes"]] == [("a", 0), ("b", 1)]
    assert found["clocks"] == [
        {"hosts": ["a"], "processes": [0], "spread_ns": 0},
        {"hosts": ["b"], "processes": [1], "spread_ns": 40_000},
    ]
    starts = [
        Decimal(str(one["ts"]))
        for one in report(tmp_path / "all", "--format", "chrome")["traceEvents"]
        if one["ph"] == "X"
    ]
    assert starts[2] - starts[0] == 3_000_000  # microseconds
    table = report(tmp_path / "all")
    assert "rank 1 of 2 on b" in table and "! 2 machines (a, b) on one axis" in table


def test_a_merged_run_can_be_merged_and_what_is_in_two_inputs_is_taken_once(tmp_path: Path) -> None:
    recording(tmp_path / "a", "a")
    recording(tmp_path / "b", "b", rank=1)
    recording(tmp_path / "c", "c", rank=2)
    merge(tmp_path / "a", tmp_path / "b", "-o", tmp_path / "ab")
    done = merge(
        tmp_path / "ab", tmp_path / "c", tmp_path / "a", tmp_path / "ab", "-o", tmp_path / "abc"
    )
    assert len(listed(tmp_path / "abc")) == 3
    assert "merged 3 recordings of 3 run directories" in done.stdout  # ab was named twice
    assert f"merged once: {tmp_path}/a/" in done.stderr
    assert {one["host"] for one in report(tmp_path / "abc", "--format", "json")["processes"]} == {
        "a",
        "b",
        "c",
    }


def test_of_two_states_of_one_process_the_later_is_taken_whatever_the_order(tmp_path: Path) -> None:
    calls = [(0, "", "Model", 1_000 * n, 1_000 * n + 500) for n in range(1, 2_000)]
    whole = recording(tmp_path / "late", "a", calls=calls)
    (tmp_path / "early").mkdir()
    early = tmp_path / "early" / whole.name
    early.write_bytes(whole.read_bytes())
    with open(early, "r+b") as stream:  # as it was while the process ran
        stream.seek(8 * f.H_STATE)
        stream.write(struct.pack("<Q", f.STATE_ON))
    recording(tmp_path / "b", "b", rank=1)
    for number, order in enumerate((("early", "late", "b"), ("b", "late", "early"))):
        out = tmp_path / f"out{number}"
        done = merge(*(tmp_path / one for one in order), "-o", out)
        assert (out / whole.name).read_bytes() == whole.read_bytes()
        assert len(listed(out)) == 2
        assert f"left out: {early}: {whole} is a later state of it" in done.stderr


def test_two_processes_with_one_file_name_both_stay(tmp_path: Path) -> None:
    first = recording(tmp_path / "a", "a")
    second = recording(tmp_path / "b", "b")
    assert first.name == second.name
    done = merge(tmp_path / "a", tmp_path / "b", "-o", tmp_path / "all")
    renamed = first.stem + "-2.airec"
    assert listed(tmp_path / "all") == sorted([first.name, renamed])
    assert f"{second}: another recording has this name; it is {renamed}" in done.stderr
    assert (tmp_path / "all" / renamed).read_bytes() == second.read_bytes()


# -- what cannot be aligned ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        (((0, 0), (0, 0)), "it contains no pair of wall clock and perf_counter"),
        (
            ((NOW, 5 * SECOND), (NOW + SECOND, 2 * SECOND)),
            "perf_counter of the second is earlier by 3.000 s",
        ),
        (
            ((NOW, SECOND), (NOW + 3_600 * SECOND, 11 * SECOND)),
            "its wall clock, the only link to the other machines, was stepped by 3590.0 s",
        ),
        (
            ((NOW, SECOND), (NOW + 10 * SECOND - 129_000_000, 11 * SECOND)),
            "was stepped by 129.0 ms",
        ),
        (
            ((77 * SECOND, SECOND), (87 * SECOND, 11 * SECOND)),
            "the wall clock of b was not set: it says 1970-01-01 00:01:17 UTC",
        ),
        (
            ((NOW + 366 * DAY, SECOND), (NOW + 366 * DAY + 10 * SECOND, 11 * SECOND)),
            "365 days after the others (a, from 2026-11-22",
        ),
        (
            ((NOW - 700 * SECOND, SECOND), (NOW - 690 * SECOND, 11 * SECOND)),
            "690.0 s before the others",
        ),
    ],
)
def test_what_cannot_be_aligned_is_refused_or_left_out_by_name(
    tmp_path: Path, pairs: tuple[tuple[int, int], tuple[int, int]], reason: str
) -> None:
    for rank in range(2):
        recording(tmp_path / "a", "a", rank=rank)
    odd = recording(tmp_path / "b", "b", rank=2)
    stamp(odd, *pairs)
    done = merge(tmp_path / "b", tmp_path / "a", "-o", tmp_path / "all", status=1)
    assert (
        f"{odd}: cannot be aligned: " in done.stderr
        and reason in done.stderr
        and "--skip-unaligned" in done.stderr
    )
    assert listed(tmp_path) == ["a", "b"]
    done = merge(tmp_path / "b", tmp_path / "a", "-o", tmp_path / "all", "--skip-unaligned")
    assert f"left out: {odd}: cannot be aligned: " in done.stderr and reason in done.stderr
    assert contents(tmp_path / "all") == contents(tmp_path / "a")


def test_a_host_that_comes_a_little_late_or_was_killed_long_after_its_last_switch_is_no_stranger(
    tmp_path: Path,
) -> None:
    recording(tmp_path / "a", "a", wall=NOW + 500 * SECOND)
    recording(tmp_path / "b", "b", rank=1)
    merge(tmp_path / "a", tmp_path / "b", "-o", tmp_path / "late")
    killed = recording(
        tmp_path / "c",
        "c",
        rank=2,
        wall=NOW - DAY,
        close=False,
        calls=[(0, "", "Model", 2 * SECOND, DAY + 2 * SECOND)],
    )
    stamp(killed, (NOW - DAY, SECOND), (NOW - DAY, SECOND))
    merge(tmp_path / "b", tmp_path / "c", "-o", tmp_path / "killed")
    assert len(listed(tmp_path / "killed")) == 2


def test_processes_of_one_boot_are_aligned_whatever_their_wall_clock_did(tmp_path: Path) -> None:
    """They share the monotonic clock, so a step of the wall clock or a suspend does no harm."""
    recording(tmp_path / "a", "pod-a", boot="one")
    recording(tmp_path / "b", "pod-b", boot="one", rank=1, wall=NOW + 3_600 * SECOND)
    done = merge(tmp_path / "a", tmp_path / "b", "-o", tmp_path / "all")
    assert (
        "the wall clock of pod-a, pod-b was stepped by 3600.0 s; all are of one boot" in done.stderr
    )
    starts = [
        one["ts"]
        for one in report(tmp_path / "all", "--format", "chrome")["traceEvents"]
        if one["ph"] == "X"
    ]
    assert starts[:2] == starts[2:]
    assert "on one axis" not in report(tmp_path / "all")


def test_nothing_is_made_of_recordings_none_of_which_can_be_aligned(tmp_path: Path) -> None:
    for rank, host in enumerate("ab"):
        stamp(recording(tmp_path / host, host, rank=rank), (0, 0), (0, 0))
    assert (
        "nothing can be merged"
        in merge(
            tmp_path / "a", tmp_path / "b", "-o", tmp_path / "all", "--skip-unaligned", status=1
        ).stderr
    )
    assert listed(tmp_path) == ["a", "b"]


@pytest.mark.parametrize(
    ("shift_ms", "said"),
    [
        (0, None),
        (-19, None),
        (
            -30,
            "Worker rank 0 of 1 on b begins to execute it 10.00 ms before EngineCore on a "
            "schedules it",
        ),
        (69, None),
        (
            100,
            "Worker rank 0 of 1 on b begins to execute it 30.00 ms after EngineCore on a has its "
            "output",
        ),
    ],
)
def test_engine_steps_that_contradict_the_axis_are_said(
    tmp_path: Path, shift_ms: int, said: str | None
) -> None:
    """A wrong wall clock of the Worker is found only if it contradicts the order of a step.

    A step is scheduled at 0 ms, begun by the Worker at 20 ms, and completed at 90 ms.
    A step name that occurs twice, because its request was preempted, is not used."""
    ms = 1_000_000
    starts = {f"request@{number}": SECOND + 200 * number * ms for number in range(5)}
    engine = [
        entry
        for name, start in starts.items()
        for entry in step_of(start, name, "decode", 0, 1, slow=ms)
    ]
    engine += step_of(9 * SECOND, "request@4", "decode", 0, 1, slow=ms)
    begun = {
        name: start + (0 if name == "request@4" else 20 * ms) for name, start in starts.items()
    }
    work = [
        entry for name, start in begun.items() for entry in work_of(start, name, "decode", slow=ms)
    ]
    first = write(
        str(tmp_path / "a"),
        engine,
        pid=1,
        header={"host": "a", "boot": "a", "roles": ["EngineCore"]},
    )
    second = write(
        str(tmp_path / "b"),
        work,
        pid=2,
        header={"host": "b", "boot": "b", "roles": ["Worker"], "rank": 0, "world_size": 1},
    )
    stamp(first, (NOW, SECOND), (NOW + 10 * SECOND, 11 * SECOND))
    stamp(second, (NOW + shift_ms * ms, SECOND), (NOW + 10 * SECOND + shift_ms * ms, 11 * SECOND))
    done = merge(tmp_path / "a", tmp_path / "b", "-o", tmp_path / "all")
    if said is None:
        assert done.stderr == ""
    else:
        by = said.split(" execute it ")[1][:8]
        assert re.fullmatch(
            rf"autoinstr: step request@[0-3]: {said}: the wall clocks of a and b differ by at "
            rf"least {by}\n",
            done.stderr,
        )


# -- bad input -------------------------------------------------------------------------------------


def test_what_is_no_recording_is_named_and_the_rest_is_merged(tmp_path: Path) -> None:
    good = recording(tmp_path / "a", "a")
    secret = tmp_path / "secret"
    secret.write_bytes(good.read_bytes())
    bad = tmp_path / "b"
    newer = recording(bad, "b", rank=1)
    with open(newer, "r+b") as stream:
        stream.seek(8 * f.H_VERSION)
        stream.write(struct.pack("<Q", f.VERSION + 1))
    cut = recording(bad, "b", rank=2, calls=[(0, "", "M", n, n) for n in range(1, 9_000)])
    os.truncate(cut, 100_000)
    os.symlink(secret, bad / "link.airec")
    os.symlink(tmp_path / "nowhere", bad / "dangling.airec")
    os.mkfifo(bad / "pipe.airec")
    (bad / "folder.airec").mkdir()
    (bad / "garbage\n\x1b[31m.airec").write_bytes(b"x" * 5_000)
    (bad / "empty.airec").touch()
    (bad / "control").write_text("on\n")
    (bad / "report.pftrace").write_text("")
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(bad)  # the name of a socket must be short
        listening.bind("socket.airec")
        os.chdir(REPO)
        done = merge(tmp_path / "a", bad, "-o", tmp_path / "all")
    assert listed(tmp_path / "all") == sorted([good.name, cut.name])
    for name, why in (
        (newer.name, f"format version {f.VERSION + 1} is newer than this autoinstr reads"),
        ("link.airec", "is a symbolic link, which is not followed"),
        ("dangling.airec", "is a symbolic link, which is not followed"),
        ("pipe.airec", "is not a regular file"),
        ("socket.airec", ""),
        ("garbage\\n\\x1b[31m.airec", "not a recording of autoinstr"),
        ("empty.airec", "too short to be a recording"),
    ):
        assert any(f"left out: {bad}/{name}: {why}" in line for line in done.stderr.splitlines()), (
            name,
            done.stderr,
        )
    assert f"damaged: {cut}: cut off at byte" in done.stderr
    assert str(tmp_path / "all") not in done.stderr and ".autoinstr-merge" not in done.stderr
    recording(tmp_path / "c", "c")
    os.truncate(next((tmp_path / "c").iterdir()), 10)
    done = merge(tmp_path / "c", "-o", tmp_path / "none", status=1)
    assert "nothing can be merged" in done.stderr and "too short" in done.stderr
    assert not (tmp_path / "none").exists()


def test_an_empty_run_is_said_and_a_folder_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    recording(tmp_path / "a", "a")
    (tmp_path / "b").mkdir()
    assert (
        "not a run directory: it contains no *.airec file"
        in merge(tmp_path / "a", tmp_path / "b", "-o", tmp_path / "x", status=1).stderr
    )
    (tmp_path / "b" / "control").write_text("off\n")
    assert (
        f"left out: {tmp_path}/b: holds no recording"
        in merge(tmp_path / "a", tmp_path / "b", "-o", tmp_path / "x").stderr
    )
    assert (
        "nowhere: no such run directory"
        in merge(tmp_path / "a", tmp_path / "nowhere", "-o", tmp_path / "y", status=1).stderr
    )
    file = next((tmp_path / "a").iterdir())
    assert "is a file; give the run directory" in merge(file, "-o", tmp_path / "y", status=1).stderr


def test_a_folder_of_several_runs_needs_a_choice(tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two")):
        os.utime(recording(tmp_path / "runs" / name, name), (1_000 + number, 1_000 + number))
    os.symlink(tmp_path / "runs" / "two", tmp_path / "runs" / "link")
    done = merge(tmp_path / "runs", "-o", tmp_path / "all", status=2)
    assert (
        f"contains 2 runs; name those to merge: autoinstr merge {tmp_path}/runs/two "
        f"{tmp_path}/runs/one" in done.stderr
    )
    merge(tmp_path / "runs", "-o", tmp_path / "all", "--latest")
    assert report(tmp_path / "all", "--format", "json")["processes"][0]["host"] == "two"


@pytest.mark.parametrize(
    ("out", "status", "reason"),
    [
        ("full", 2, "is not empty"),
        ("file", 2, "exists and is not a directory"),
        ("link", 2, "exists and is not a directory"),
        ("a/inside", 2, "lies inside"),
        ("a", 2, "is not empty"),
        ("runs/inside", 2, "lies inside"),
        ("file/inside", 1, "cannot be written: Not a directory"),
    ],
)
def test_where_it_may_not_be_written(tmp_path: Path, out: str, status: int, reason: str) -> None:
    recording(tmp_path / "a", "a")
    recording(tmp_path / "runs" / "one", "b")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    os.symlink(tmp_path / "empty", tmp_path / "link")
    before = sorted(map(str, tmp_path.rglob("*")))
    assert (
        reason
        in merge(tmp_path / "a", tmp_path / "runs", "-o", tmp_path / out, status=status).stderr
    )
    assert sorted(map(str, tmp_path.rglob("*"))) == before
    merge(tmp_path / "a", "-o", tmp_path / "empty")
    assert len(listed(tmp_path / "empty")) == 1


def test_folders_above_are_made_and_go_again_where_nothing_is(tmp_path: Path) -> None:
    recording(tmp_path / "a", "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "control").touch()
    before = sorted(map(str, tmp_path.rglob("*")))
    assert (
        "nothing can be merged"
        in merge(tmp_path / "b", "-o", tmp_path / "new" / "runs" / "all", status=1).stderr
    )
    assert sorted(map(str, tmp_path.rglob("*"))) == before
    merge(tmp_path / "a", "-o", tmp_path / "new" / "runs" / "all")
    assert len(listed(tmp_path / "new" / "runs" / "all")) == 1


# -- the axis --------------------------------------------------------------------------------------

RANGES = st.lists(st.tuples(st.integers(0, 9_000), st.integers(0, 1_000)), min_size=1, max_size=6)
# (boot time, how far the wall clock drifts while it is recorded, at which of its pairs it is right,
# the ranges)
HOSTS = st.lists(
    st.tuples(
        st.integers(1, 10**15),
        st.integers(-120_000, 120_000),
        st.booleans(),
        st.lists(RANGES, min_size=1, max_size=2),
    ),
    min_size=2,
    max_size=4,
)


@settings(max_examples=25)
@given(HOSTS)
def test_durations_and_nesting_stay_exact_and_the_order_is_right_within_what_is_said(
    hosts: list[Any],
) -> None:
    """Each wall clock is right at one of its pairs, and wrong by its drift at the other.

    Times are in microseconds. The true time is that of a right wall clock."""
    folder = Path(tempfile.mkdtemp())
    try:
        truth: dict[str, list[tuple[int, int]]] = {}
        for number, (boot_us, drift_us, right_first, processes) in enumerate(hosts):
            at_open, at_end = (0, drift_us) if right_first else (drift_us, 0)
            for rank, ranges in enumerate(processes):
                ordered = sorted(ranges, key=lambda one: (one[0], -one[1]))
                times = [
                    (1000 * (start + boot_us), 1000 * (start + length + boot_us))
                    for start, length in ordered
                ]
                calls = [(0, f"r{at}", "C", *both) for at, both in enumerate(times)]
                header = {"host": f"h{number}", "boot": f"b{number}", "rank": rank}
                file = make_recording(
                    str(folder / f"h{number}"), calls, pid=1 + 10 * number + rank, header=header
                )
                stamp(
                    file,
                    (NOW + 1000 * at_open, 1000 * boot_us),
                    (NOW + 1000 * (10_000 + at_end), 1000 * (10_000 + boot_us)),
                )
                truth[f"h{number} {rank}"] = [(start, length) for start, length in ordered]
        sources = [str(folder / f"h{number}") for number in range(len(hosts))]
        merge_runs(
            sources,
            str(folder / "all"),
            latest=False,
            skip_unaligned=False,
            tick=lambda count: None,
        )
        spread_us = sum(sorted(abs(drift) for _, drift, _, _ in hosts)[-2:])
        assert (
            f"leave {format_duration(1000 * spread_us)} of error"
            in written(str(folder / "all"), "table").decode()
        )
        found = []
        processes = {}
        for event in json.loads(written(str(folder / "all"), "chrome"))["traceEvents"]:
            if event["name"] == "process_name":
                words = event["args"]["name"].split()
                processes[event["pid"]] = (
                    f"{words[words.index('on') + 1].rstrip(',')} {words[words.index('rank') + 1]}"
                )
            elif event["ph"] == "X":
                who, at = processes[event["pid"]], int(event["name"].split(":")[0][1:])
                found.append(
                    (Decimal(str(event["ts"])), Decimal(str(event["dur"])), *truth[who][at], who)
                )
        assert len(found) == sum(map(len, truth.values()))
        for ts, dur, start, length, who in found:
            assert dur == length
            for other_ts, _, other_start, _, other in found:
                if other.split()[0] == who.split()[0]:
                    assert (
                        other_ts - ts == other_start - start
                    )  # one clock: exact, so nesting is what it was
                elif other_start - start > spread_us:
                    assert other_ts > ts
    finally:
        shutil.rmtree(folder)


def test_two_ranks_on_two_machines_meet_in_their_collectives(tmp_path: Path) -> None:
    """Run torchrun over gloo on two nodes whose monotonic clocks are 5,000 seconds apart.

    No rank leaves an all_reduce before the other has entered it. Only a correct axis shows that.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = [
        str(Path(sys.executable).with_name("torchrun")),
        "--nnodes",
        "2",
        "--nproc-per-node",
        "1",
    ]
    torchrun += ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    other = elsewhere(tmp_path, "node-b", "11111111-2222-3333-4444-555555555555", 5_000)
    nodes = []
    for number, before in enumerate(([], other)):
        run = [
            sys.executable,
            "-m",
            "autoinstr",
            "run",
            "--out",
            str(tmp_path / f"node{number}"),
            "--",
        ]
        command = [
            *before,
            *run,
            *torchrun,
            "--node-rank",
            str(number),
            str(PROGRAMS / "two_nodes.py"),
            "12",
        ]
        environ = clean_environment(
            PYTHONPATH=str(REPO), GLOO_SOCKET_IFNAME="lo", OMP_NUM_THREADS="1"
        )
        nodes.append(
            subprocess.Popen(
                command,
                env=environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=tmp_path,
            )
        )
    for node in nodes:
        said, _ = node.communicate(timeout=240)
        assert node.returncode == 0, said
    files = [next((tmp_path / f"node{number}").glob("*.airec")) for number in range(2)]
    away = [one.clock_pairs[0][1] for one in map(Recording, map(str, files))]
    assert 4_900 * SECOND < away[1] - away[0] < 5_100 * SECOND  # really two clocks
    merge(tmp_path / "node0", tmp_path / "node1", "-o", tmp_path / "all")
    found = report(tmp_path / "all", "--format", "json")
    assert [(one["rank"], one["world_size"]) for one in found["processes"]] == [(0, 2), (1, 2)]
    assert (
        found["processes"][0]["host"] == os.uname().nodename
        and found["processes"][1]["host"] == "node-b"
    )
    assert len(found["clocks"]) == 2
    spread = sum(one["spread_ns"] for one in found["clocks"]) / 1000
    events = report(tmp_path / "all", "--format", "chrome")["traceEvents"]
    pids = [one["pid"] for one in events if one["name"] == "process_name"]
    reduces = [
        [
            one
            for one in events
            if one["ph"] == "X" and one["name"] == "dist.all_reduce" and one["pid"] == pid
        ]
        for pid in pids
    ]
    assert len(reduces[0]) == len(reduces[1]) == 12
    for mine, theirs in zip(*reduces):
        assert (
            mine["ts"] <= theirs["ts"] + theirs["dur"] + spread
            and theirs["ts"] <= mine["ts"] + mine["dur"] + spread
        )
    waited = [max(one["dur"] for one in pair) for pair in zip(*reduces)]
    # The early rank waits: a wrong axis would take them apart by far more than these overlap. Not
    # each time: who is to be late sleeps, and a busy machine may hold up the other one meanwhile.
    assert sorted(waited)[len(waited) // 2] > 10_000
