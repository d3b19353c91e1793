"""Test `autoinstr diff` in real processes.

The recordings come from real programs, or from the real writer.
"""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoinstr.recording import format as f
from tests.conftest import GATE, REPO, clean_environment
from tests.support.recordings import make_recording

PROGRAM = REPO / "tests" / "programs" / "layered.py"


def diff(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autoinstr", "diff", *map(str, args)],
        env=clean_environment(**{"PYTHONPATH": str(REPO), "PYTHONIOENCODING": "utf-8", **env}),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def calls(steps: int, ns: int = 1_000, path: str = "layers.0") -> list[Any]:
    """Return a model that calls one layer `steps` times; a call takes about `ns`."""
    found = []
    for step in range(1, steps + 1):
        at = step * 100_000
        found += [
            (0, "", "Model", at, at + 2 * ns),
            (0, path, "Layer", at + 10, at + 10 + ns + step % 3),
        ]
    return found


@pytest.fixture
def two_runs(tmp_path: Path) -> tuple[Path, Path]:
    """Record two runs; the layer of the second takes 10 % longer."""
    make_recording(str(tmp_path / "a"), calls(40), pid=1)
    make_recording(str(tmp_path / "b"), calls(60, 1_100), pid=2)
    return tmp_path / "a", tmp_path / "b"


# -- real programs ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Record the model twice, with a layer that spins, and with more layers: 100 calls each."""
    folder = tmp_path_factory.mktemp("recorded")
    runs = {
        "one": ("4", "100"),
        "two": ("4", "100"),
        "slow": ("4", "100", "2"),
        "more": ("7", "100"),
    }
    for name, words in runs.items():
        environ = clean_environment(PYTHONPATH=str(GATE), AUTOINSTR=f"out={folder / name}")
        subprocess.run([sys.executable, PROGRAM, *words], env=environ, check=True, timeout=120)
    return {name: folder / name for name in runs}


def test_the_same_program_twice_is_compared_module_by_module(recorded: dict[str, Path]) -> None:
    done = diff(recorded["one"], recorded["two"], "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [row["path"] for row in found["rows"]] == [
        "Net",
        "layers.[0-3]",
        "layers.[0-3].attn",
        "layers.[0-3].mlp",
        "layers.[0-3].mlp.[0,2]",
        "layers.[0-3].mlp.1",
        "head",
    ]
    assert all(
        row["a"]["calls"] == row["b"]["calls"] and row["only_in"] is None for row in found["rows"]
    )
    root = found["rows"][0]
    assert root["a"]["steps"] == root["b"]["steps"] == 100
    assert root["low"] <= root["ratio"] <= root["high"]
    assert found["differences"] == []


def test_a_slower_layer_is_found_and_named_and_fails(recorded: dict[str, Path]) -> None:
    """The layer spins far longer than the model, so that a busy machine does not matter."""
    done = diff(recorded["one"], recorded["slow"], "--fail-above", "5%")
    assert done.returncode == 1
    assert "autoinstr: error: slower by more than 5 %: MainProcess, Net: " in done.stderr
    lines = done.stdout.splitlines()
    assert any(
        line.startswith("* layers.2: ") and line.endswith("unlike the rest of layers.[0-3]")
        for line in lines
    )
    assert (
        next(line for line in lines if line.startswith("layers.[0-3] ")).split().count("slower")
        == 1
    )
    back = diff(recorded["slow"], recorded["one"], "--fail-above", "5%")
    assert back.returncode == 0, back.stderr
    assert back.stderr == ""


def test_models_of_other_sizes_are_matched(recorded: dict[str, Path]) -> None:
    done = diff(recorded["one"], recorded["more"], "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = {row["path"]: row for row in json.loads(done.stdout)["rows"]}
    assert (rows["layers.[0-3|0-6]"]["a"]["calls"], rows["layers.[0-3|0-6]"]["b"]["calls"]) == (
        400,
        700,
    )
    assert not [path for path, row in rows.items() if row["only_in"]]


# -- the gate --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "status"),
    [("5%", 1), ("5", 1), (" 9.5 % ", 1), ("0", 1), ("0.5%", 1), ("15%", 0), ("200", 0)],
)
def test_a_slower_run_fails_above_the_bound(
    two_runs: tuple[Path, Path], bound: str, status: int
) -> None:
    done = diff(*two_runs, "--fail-above", bound)
    assert done.returncode == status, done.stderr
    assert ("slower by more than" in done.stderr) == (status == 1)
    assert "next: " in done.stdout  # the table is there all the same


@pytest.mark.parametrize(
    ("bound", "answer"),
    [
        ("0.05", "is it 5% or 0.05%?"),
        ("five", "is not a percentage"),
        ("-3%", "is not a percentage"),
        ("nan", "is not a percentage"),
        ("inf", "is not a percentage"),
        ("5%%", "is not a percentage"),
    ],
)
def test_a_bound_that_cannot_be_meant_is_wrong_usage(
    two_runs: tuple[Path, Path], bound: str, answer: str
) -> None:
    done = diff(*two_runs, f"--fail-above={bound}")
    assert done.returncode == 2
    assert answer in done.stderr
    assert done.stdout == ""


def test_fail_on_modules_sees_a_module_that_the_whole_hides(tmp_path: Path) -> None:
    def run(layer: int) -> list[Any]:
        return [
            call
            for at in range(100_000, 6_100_000, 100_000)
            for call in (
                (0, "", "Model", at, at + 50_000 + at // 1000 % 7),
                (0, "norm", "Norm", at, at + layer + at // 1000 % 5),
            )
        ]

    make_recording(str(tmp_path / "a"), run(400))
    make_recording(str(tmp_path / "b"), run(600))
    assert diff(tmp_path / "a", tmp_path / "b", "--fail-above", "5%").returncode == 0
    done = diff(tmp_path / "a", tmp_path / "b", "--fail-above", "5%", "--fail-on", "modules")
    assert done.returncode == 1
    assert "MainProcess, norm: +" in done.stderr


def test_too_few_steps_do_not_pass(tmp_path: Path) -> None:
    for name in "ab":
        make_recording(str(tmp_path / name), calls(3))
    done = diff(tmp_path / "a", tmp_path / "b", "--fail-above", "5%")
    assert done.returncode == 1
    assert "not judged: MainProcess, Model: too few steps" in done.stderr
    assert "record more steps" in done.stderr
    assert diff(tmp_path / "a", tmp_path / "b").returncode == 0


# -- outputs ---------------------------------------------------------------------------------------


def test_a_file_is_written_whole_and_said(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    target = tmp_path / "diff.json.gz"
    done = diff(*two_runs, "--format", "json", "-o", target)
    assert done.returncode == 0, done.stderr
    assert f"wrote {target}" in done.stderr
    assert json.loads(gzip.decompress(target.read_bytes()))["schema"] == "autoinstr.diff/1"
    assert done.stdout == ""
    assert not list(tmp_path.glob("*.part-*"))


def test_a_terminal_without_unicode_gets_ascii(two_runs: tuple[Path, Path]) -> None:
    done = diff(*two_runs, COLUMNS="100", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert " us " in done.stdout


def test_processes_and_phases_are_chosen(two_runs: tuple[Path, Path]) -> None:
    assert "no such process" in diff(*two_runs, "--process", "Worker").stderr
    done = diff(*two_runs, "--phase", "decode")
    assert done.returncode == 1
    assert done.stderr == (
        "autoinstr: error: nothing to compare: in A no range has the phase 'decode'; it has: none\n"
    )
    assert done.stdout == "", "the error says it all"
    wrong = diff(*two_runs, "--phase", "decoed")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean 'decode'?" in wrong.stderr


@pytest.mark.parametrize(("option", "value"), [("--sort", "tree"), ("--limit", "3")])
def test_orders_and_lengths_are_of_the_table(
    two_runs: tuple[Path, Path], option: str, value: str
) -> None:
    for kind in ("json", "html"):
        done = diff(*two_runs, option, value, "--format", kind)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{option} {value}: is for the format table, not for {kind}" in done.stderr


def test_where_it_cannot_be_written_is_said_first(
    two_runs: tuple[Path, Path], tmp_path: Path
) -> None:
    """The error comes before the runs are read."""
    for run in two_runs:
        next(run.iterdir()).write_bytes(b"torn")
    done = diff(*two_runs, "-o", tmp_path / "nodir" / "d.txt")
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        f"{tmp_path / 'nodir' / 'd.txt'}: cannot be written: No such file or directory"
        in done.stderr
    )


# -- bad input -------------------------------------------------------------------------------------


def test_nothing_in_common_says_what_each_has(tmp_path: Path) -> None:
    make_recording(str(tmp_path / "a"), calls(5), root="Bert#1")
    make_recording(
        str(tmp_path / "b"),
        [(0, "stem", "Conv2d", at, at + 5) for at in range(10, 90, 10)],
        root="ResNet#1",
    )
    done = diff(tmp_path / "a", tmp_path / "b")
    assert done.returncode == 1
    assert "nothing in common" in done.stdout
    assert "! only in A: 1 module: Bert" in done.stdout
    assert "! only in B: 1 module: ResNet.stem" in done.stdout
    assert done.stderr.count("\n") == 1
    assert "try --by class" in done.stderr


def test_an_empty_run_is_named(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    make_recording(str(tmp_path / "empty"), [])
    done = diff(two_runs[0], tmp_path / "empty", "--fail-above", "5%")
    assert done.returncode == 1
    assert (
        done.stderr
        == f"autoinstr: error: nothing to compare: B ({tmp_path / 'empty'}) recorded nothing\n"
    )
    assert f"next: autoinstr report {tmp_path / 'empty'}" in done.stdout


def test_what_cannot_be_read_is_said_and_the_rest_compared(two_runs: tuple[Path, Path]) -> None:
    a, b = two_runs
    (b / f"other{f.SUFFIX}").write_bytes(b"not a recording")
    newer = bytearray(next(a.glob(f"*{f.SUFFIX}")).read_bytes())
    newer[8:16] = (99).to_bytes(8, "little")
    (b / f"newer{f.SUFFIX}").write_bytes(newer)
    done = diff(a, b)
    assert done.returncode == 0, done.stderr
    assert f"! B: {b / f'other{f.SUFFIX}'}" in done.stdout
    assert "newer" in done.stdout
    assert "layers.0" in done.stdout


def test_a_rank_that_is_missing_is_named(tmp_path: Path) -> None:
    for rank in range(3):
        header = {"roles": ["Worker"], "rank": rank, "world_size": 3}
        make_recording(str(tmp_path / "a"), calls(20), pid=rank + 1, header=header)
        if rank != 1:
            make_recording(str(tmp_path / "b"), calls(20), pid=rank + 1, header=header)
    done = diff(tmp_path / "a", tmp_path / "b")
    assert done.returncode == 0, done.stderr
    assert "rank 1 of 3 is missing" in done.stdout
    assert "! Worker: 3 processes in A, 2 in B" in done.stdout


def test_a_process_that_was_killed_is_compared_up_to_there(
    two_runs: tuple[Path, Path], tmp_path: Path
) -> None:
    make_recording(
        str(tmp_path / "killed"), [*calls(30), (0, "", "Model", 10**9, None)], close=False
    )
    done = diff(two_runs[0], tmp_path / "killed")
    assert done.returncode == 0, done.stderr
    assert "! B: MainProcess" in done.stdout
    assert "still inside" in done.stdout


def test_where_there_are_several_runs_one_is_named_or_the_newest_taken(
    two_runs: tuple[Path, Path], tmp_path: Path
) -> None:
    done = diff(tmp_path, two_runs[1])
    assert done.returncode == 2
    assert f"holds 2 runs; the newest: {tmp_path}/" in done.stderr
    done = diff(tmp_path, two_runs[0], "--latest")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(
        f"next: autoinstr diff {tmp_path} {two_runs[0]} --latest --format html"
    )


def test_a_page_does_not_go_to_a_terminal(two_runs: tuple[Path, Path]) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "autoinstr", "diff", *map(str, two_runs), "--format", "html"]
    done = subprocess.run(
        command, stdout=theirs, stderr=subprocess.PIPE, cwd=REPO, encoding="utf-8", timeout=120
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert "give a file with -o" in done.stderr


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["one"], "required: B"),
        (["nowhere", "nowhere"], "no such run directory"),
        (["a", "b", "--format", "xml"], "is not one of table"),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], answer: str, tmp_path: Path) -> None:
    done = diff(*words)
    assert done.returncode in (1, 2)
    assert answer in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_names_that_would_harm_a_terminal_are_shown_harmless(tmp_path: Path) -> None:
    evil = "a\x1b[31m\n</script>'\"\u202e" + "x" * 4096
    for name in "ab":
        make_recording(
            str(tmp_path / name), [(0, evil, "Layer", at, at + 5) for at in range(10, 200, 10)]
        )
    done = diff(tmp_path / "a", tmp_path / "b", COLUMNS="100")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 400 + len(os.fspath(tmp_path))
    found = json.loads(diff(tmp_path / "a", tmp_path / "b", "--format", "json").stdout)
    assert [row["path"] for row in found["rows"]] == [evil]
