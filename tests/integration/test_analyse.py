"""Test `autoinstr analyse` on databases in the real schema; `--check-with` runs msprof-analyze."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from autoinstr.device.ascend.check import BY_TIME, TOO_DEEP
from tests.conftest import REPO, Python, clean_environment, hears_ctrl_c
from tests.support.ascend_db import TID, Database, database, model

MSPROF = REPO / ".venv-msprof" / "bin"


# A msprof-analyze that writes a table of its own: one row.
FAKE_TABLE = """\
#!{python}
import os, sqlite3, sys
folder = os.path.join(sys.argv[sys.argv.index("-o") + 1], "cluster_analysis_output")
os.makedirs(folder)
connection = sqlite3.connect(os.path.join(folder, "cluster_analysis.db"))
connection.execute(
    "CREATE TABLE ModuleStatistic (rankID, parentModule, module, opName, kernelList, "
    "'totalKernelDuration(ns)', 'avgKernelDuration(ns)', opCount)")
connection.execute(
    "INSERT INTO ModuleStatistic VALUES (0, '', 'Model', 'aten::mul', 'Mul', 5, 5, 1)")
connection.commit()
"""


class Analyse(Protocol):
    """Run `autoinstr analyse` in a process of its own; with a tool, compare with that one."""

    def __call__(
        self, *args: object, tool: object = None, **more: Any
    ) -> subprocess.CompletedProcess[str]: ...


def run_analyse(
    cwd: Path, *args: object, tool: object = None, **more: Any
) -> subprocess.CompletedProcess[str]:
    cwd.mkdir(exist_ok=True)
    which = ("--check-with", "msprof-analyze", "--msprof-analyze", tool) if tool else ()
    env = {"COLUMNS": "200", "TMPDIR": str(cwd), **more.pop("env", {})}
    words = [str(word) for word in (*args, *which)]
    return Python(sys.executable, cwd).run(
        "-m", "autoinstr", "analyse", *words, on=None, path=(REPO,), env=env, **more
    )


@pytest.fixture(scope="module")
def msprof() -> Path:
    if not (MSPROF / "msprof-analyze").exists():
        pytest.skip("no .venv-msprof with msprof-analyze: `make setup-npu` makes it")
    return MSPROF


@pytest.fixture
def analyse(tmp_path: Path) -> Analyse:
    def run(*args: object, tool: object = None, **more: Any) -> subprocess.CompletedProcess[str]:
        return run_analyse(tmp_path / "cwd", *args, tool=tool, **more)

    return run


def profile(
    folder: Path,
    name: str = "host_1_20260101_ascend_pt",
    rank: int | None = 0,
    at_s: float = 0,
    us: float = 10,
) -> Path:
    with database(folder / name, rank, at_s) as made:
        model(made, us=us)
        model(made, us=us)
    return folder


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def cells(stdout: str, module: str, at: int = 0) -> list[str]:
    """Return the cells of a module's line, without its name."""
    return [
        line.strip().split("  ") for line in stdout.splitlines() if line.split()[:1] == [module]
    ][at][1:]


def figures(line: list[str]) -> list[str]:
    return [cell.strip() for cell in line if cell.strip()]


def data(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_table_of_one_rank(analyse: Analyse, tmp_path: Path) -> None:
    done = analyse(profile(tmp_path / "in"))
    assert done.returncode == 0, done.stderr
    heading = next(line for line in done.stdout.splitlines() if line.startswith("module"))
    assert heading.split() == ["module", "device", "share", "kernels", "calls", "mean", "self"]
    assert (
        "rank 0 (host_1_20260101_ascend_pt): 20 kernels, 192.0 µs on the device, 95.8% in modules"
        in done.stdout
    )
    assert figures(cells(done.stdout, "Model")) == [
        "184.0 µs",
        "95.8%",
        "18",
        "2",
        "92.00 µs",
        "0 ns",
    ]
    assert figures(cells(done.stdout, "Layer")) == [
        "180.0 µs",
        "93.8%",
        "16",
        "4",
        "45.00 µs",
        "0 ns",
    ]
    assert figures(cells(done.stdout, "Attention")) == [
        "120.0 µs",
        "62.5%",
        "8",
        "4",
        "30.00 µs",
        "80.00 µs",
    ]
    assert figures(cells(done.stdout, "MLP")) == [
        "60.00 µs",
        "31.2%",
        "8",
        "4",
        "15.00 µs",
        "20.00 µs",
    ]
    assert "(outside modules)" in done.stdout and "!" not in done.stdout


def test_nothing_is_written_into_the_users_folder_and_nothing_stays_behind(
    analyse: Analyse, tmp_path: Path
) -> None:
    folder = profile(tmp_path / "in")
    earlier = folder / "cluster_analysis_output" / "cluster_analysis.db"
    earlier.parent.mkdir()
    earlier.write_text("of an earlier run")
    before = contents(folder)
    assert analyse(folder).returncode == 0
    assert contents(folder) == before
    assert list((tmp_path / "cwd").iterdir()) == []  # TMPDIR


def test_json_has_every_figure_and_the_operators(analyse: Analyse, tmp_path: Path) -> None:
    told = data(analyse(profile(tmp_path / "in"), "--format", "json"))
    assert told["schema"] == "autoinstr.modules/1"
    [one] = told["profiles"]
    assert (one["rank"], one["label"], one["problem"], one["kernels"], one["device_ns"]) == (
        0,
        "rank 0",
        None,
        20,
        192_000,
    )
    assert one["domains"] == {"Module": 24}
    rows = {row["path"]: row for row in told["rows"]}
    attention = rows["Model/Layer/Attention"]
    assert (
        attention["calls"],
        attention["device_ns"],
        attention["self_ns"],
        attention["kernels"],
    ) == (4, 120_000, 80_000, 8)
    assert (
        attention["share"] == pytest.approx(120 / 192)
        and attention["mean_ns"] == 30_000
        and attention["depth"] == 2
    )
    assert attention["operators"] == [
        {
            "module": "Attention",
            "name": "npu::attention",
            "kernels": ["FlashAttention"],
            "count": 4,
            "device_ns": 80_000,
        }
    ]


def test_csv_goes_to_a_file_and_may_be_compressed(analyse: Analyse, tmp_path: Path) -> None:
    target = tmp_path / "operators.csv.gz"
    done = analyse(
        profile(tmp_path / "in"), "--format", "csv", "--table", "operators", "-o", target
    )
    assert done.returncode == 0 and done.stdout == "" and f"wrote {target}" in done.stderr
    operators = list(csv.DictReader(io.StringIO(gzip.decompress(target.read_bytes()).decode())))
    assert {(row["path"], row["operator"], row["kernels"], row["count"]) for row in operators} >= {
        ("Model/Layer/MLP", "c10d::allreduce_", "hcom_allReduce_", "4")
    }


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--sort", "difference"], "--sort difference: is for --compare"),
        (["--compare", "x", "--sort", "self"], "--sort self: is no order of --compare"),
        (
            ["--compare", "x", "--table", "operators"],
            "--table operators: --compare compares modules",
        ),
        (
            ["--format", "json", "--table", "operators"],
            "--table operators: is for the formats table and csv",
        ),
        (["--format", "tabel"], "did you mean 'table'?"),
        (
            ["--format", "csv", "--limit", "3"],
            "--limit 3: is for the format table, not for csv",
        ),
        (
            ["--format", "json", "--sort", "self"],
            "--sort self: is for the format table, not for json",
        ),
        (["--rank", "one"], "'one' is not a whole number"),
    ],
)
def test_wrong_usage(tmp_path: Path, words: list[str], problem: str) -> None:
    done = run_analyse(tmp_path / "cwd", profile(tmp_path / "in"), *words)
    assert done.returncode == 2 and done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("autoinstr: error: ") and problem in line


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--compare", "nodir"], "nodir: no such directory"),
        (["-o", "nodir/x.txt"], "nodir/x.txt: cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_work_is_said_before_the_long_part(
    analyse: Analyse, tmp_path: Path, words: list[str], problem: str
) -> None:
    """torch_npu's analysis would fail too, but it must not run."""
    (tmp_path / "in" / "host_1_20260101_ascend_pt" / "FRAMEWORK").mkdir(parents=True)
    done = analyse(tmp_path / "in", *words)
    assert done.returncode == 1
    assert done.stderr.startswith(f"autoinstr: error: {problem}") and done.stderr.count("\n") == 1


def test_a_missing_directory_is_a_failure_as_everywhere(analyse: Analyse, tmp_path: Path) -> None:
    done = analyse(tmp_path / "nodir")
    assert (done.returncode, done.stderr) == (
        1,
        f"autoinstr: error: {tmp_path / 'nodir'}: no such directory\n",
    )


def test_ranks_stand_side_by_side(analyse: Analyse, tmp_path: Path) -> None:
    profile(tmp_path / "in", "host_1_20260101_ascend_pt", rank=0)
    profile(tmp_path / "in", "host_2_20260101_ascend_pt", rank=1, us=20)
    done = analyse(tmp_path / "in")
    heading = next(line for line in done.stdout.splitlines() if line.startswith("module"))
    assert heading.split() == [
        "module",
        "all",
        "share",
        "calls",
        "rank",
        "0",
        "rank",
        "1",
        "most/least",
    ]
    assert figures(cells(done.stdout, "Attention")) == [
        "360.0 µs",
        "66.2%",
        "8",
        "120.0 µs",
        "240.0 µs",
        "2.00",
    ]
    assert figures(cells(done.stdout, "Embedding")) == [
        "8.000 µs",
        "1.5%",
        "4",
        "4.000 µs",
        "4.000 µs",
        "1.00",
    ]
    one = analyse(tmp_path / "in", "--rank", 1)
    assert figures(cells(one.stdout, "Attention"))[0] == "240.0 µs"


def test_of_many_ranks_the_slowest_and_the_quickest(analyse: Analyse, tmp_path: Path) -> None:
    for rank in range(9):
        profile(
            tmp_path / "in", f"host_{rank}_20260101_ascend_pt", rank=rank, us=10 + (rank == 4) * 5
        )
    done = analyse(tmp_path / "in")
    heading = next(line for line in done.stdout.splitlines() if line.startswith("module"))
    assert heading.split() == [
        "module",
        "all",
        "share",
        "calls",
        "least",
        "most",
        "slowest",
        "most/least",
    ]
    assert figures(cells(done.stdout, "Attention"))[3:] == [
        "120.0 µs",
        "180.0 µs",
        "rank 4",
        "1.50",
    ]


@pytest.mark.parametrize(
    ("later", "kind"), [(0, "at the same time: replicas"), (60, "one after the other: sessions")]
)
def test_profiles_that_call_themselves_the_same_rank_are_kept_apart(
    analyse: Analyse, tmp_path: Path, later: int, kind: str
) -> None:
    """msprof-analyze uses one of two profiles of one rank and drops the other silently."""
    profile(tmp_path / "in", "host_1_20260101_ascend_pt", rank=0, us=10)
    profile(tmp_path / "in", "host_2_20260102_ascend_pt", rank=0, us=20, at_s=later)
    done = analyse(tmp_path / "in")
    assert figures(cells(done.stdout, "Attention"))[3:5] == ["120.0 µs", "240.0 µs"]
    assert (
        "rank 0 #1 (host_1_20260101_ascend_pt)" in done.stdout
        and "rank 0 #2 (host_2_20260102_ascend_pt)" in done.stdout
    )
    assert f"! 2 profiles name rank 0 ({kind}" in done.stdout


def test_one_rank_without_a_table_does_not_cost_the_others(
    analyse: Analyse, tmp_path: Path
) -> None:
    profile(tmp_path / "in", rank=0)
    with (
        database(tmp_path / "in" / "host_2_20260101_ascend_pt", rank=1) as made,
        made.range("Model"),
    ):
        made.operator("aten::linear")
    done = analyse(tmp_path / "in")
    assert done.returncode == 0 and figures(cells(done.stdout, "Model"))[0] == "184.0 µs"
    assert (
        "! rank 1 (host_2_20260101_ascend_pt): no module table: no kernels: the device "
        "recorded nothing"
    ) in done.stdout


def no_ranges(made: Database) -> None:
    made.operator("aten::linear", "MatMulV2")


def lower_case(made: Database) -> None:
    with made.range("Model", domain="module"):
        made.operator("aten::linear", "MatMulV2")


def on_the_device_only(made: Database) -> None:
    with (
        made.range("Model", domain="device:Module", stream=True),
        made.range("Worker.step", domain="vllm"),
    ):
        made.operator("aten::linear", "MatMulV2")


def default_domain(made: Database) -> None:
    with made.range("Model", domain="default"):
        made.operator("aten::linear", "MatMulV2")


def other_threads(made: Database) -> None:
    with made.range("Model", domain="thread-2:Module"):
        made.operator("aten::linear", "MatMulV2")


def push_pop(made: Database) -> None:
    with made.range("Model", kind=1):
        made.operator("aten::linear", "MatMulV2")


def no_kernels(made: Database) -> None:
    with made.range("Model"):
        made.operator("aten::linear")


def no_cpu_activity(made: Database) -> None:
    with made.range("Model"):
        made.operator("aten::linear", "MatMulV2")
    made.connection.execute("DROP TABLE PYTORCH_API")
    made.connection.execute("DROP TABLE CONNECTION_IDS")


def nest(made: Database, level: int = 0) -> None:
    if level < 25:
        with made.range(f"M{level}"):
            made.operator("aten::add", "Add", us=1)
            nest(made, level + 1)


def graph_replay(made: Database) -> None:
    with made.range("Model"):
        made.operator("aten::linear", "MatMulV2", linked=False)


def level0(made: Database) -> None:
    graph_replay(made)
    made.connection.execute("DROP TABLE CANN_API")


def elsewhere(made: Database) -> None:
    with made.range("Model"):
        pass
    made.operator("aten::linear", "MatMulV2")


def damaged(made: Database) -> None:
    model(made)
    made.connection.execute("DROP TABLE STRING_IDS")
    made.connection.execute("CREATE TABLE STRING_IDS (other INTEGER)")


MISSING: dict[Callable[[Database], None], str] = {
    no_ranges: "no mstx ranges: nothing was called while the profiler ran, or it ran without mstx",
    on_the_device_only: (
        "there are: device:Module (1), vllm (1) (the modules are on the device only"
    ),
    default_domain: (
        "there are: default (1) (if modules are in it: a CANN without domains puts all ranges "
        "into default)"
    ),
    no_kernels: "no kernels: the device recorded nothing",
    no_cpu_activity: "no operators (PYTORCH_API): it was profiled without CPU activity",
    graph_replay: "no kernel is known to belong to a module: kernels of a replayed graph",
    level0: (
        "no kernel is known to belong to a module: there is no record of launches (CANN_API; "
        "AUTOINSTR_PROFILER=level=Level1)"
    ),
    elsewhere: "no operator that launched a kernel lies inside a call of a module",
    damaged: "cannot be read: no such column",
}


@pytest.fixture(scope="module")
def without_tables(
    tmp_path_factory: pytest.TempPathFactory,
) -> subprocess.CompletedProcess[str]:
    """Analyse all cases in one run; each is a rank."""
    folder = tmp_path_factory.mktemp("without")
    for rank, make in enumerate(MISSING):
        with database(folder / f"host_{rank}_20260101_ascend_pt", rank) as made:
            make(made)
    return run_analyse(folder / "cwd", folder)


@pytest.mark.parametrize("make", MISSING)
def test_what_is_missing_is_said_plainly(
    without_tables: subprocess.CompletedProcess[str], make: Callable[[Database], None]
) -> None:
    rank = list(MISSING).index(make)
    [line] = [
        line for line in without_tables.stdout.splitlines() if line.startswith(f"! rank {rank} ")
    ]
    assert f"(host_{rank}_20260101_ascend_pt): no module table: " in line and MISSING[make] in line


def test_where_there_is_no_table_at_all_it_is_a_failure_and_one_line(
    without_tables: subprocess.CompletedProcess[str],
) -> None:
    assert without_tables.returncode == 1
    [error] = [
        line for line in without_tables.stderr.splitlines() if line.startswith("autoinstr: error: ")
    ]
    assert (
        f"no module table: rank 0: {MISSING[no_ranges]} (and 8 more profiles without one)" in error
    )


def with_a_stream(made: Database) -> None:
    with made.range("Model", stream=True):
        made.operator("aten::linear", "MatMulV2")


def partly_replayed(made: Database) -> None:
    model(made)
    made.operator("aten::replay", "MatMulV2", us=138, linked=False)


def early_kernels(made: Database) -> None:
    """Two kernels that were launched before the profile began run before all others."""
    device, made.device = made.device, made.device - 100_000
    for _ in range(2):
        made.operator("aten::before", "Early", us=10, linked=False)
    made.device = device
    made.connection.execute("DELETE FROM PYTORCH_API")
    model(made)


REMARKS: dict[Callable[[Database], None], str] = {
    with_a_stream: "1 of 1 range of Module were made with a stream",
    partly_replayed: "59.0% of the kernels' time has no known launch: kernels of a replayed graph",
    early_kernels: "2 kernels were launched before the profile began",
}


@pytest.fixture(scope="module")
def with_remarks(
    tmp_path_factory: pytest.TempPathFactory,
) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("remarks")
    for rank, make in enumerate(REMARKS):
        with database(folder / f"host_{rank}_20260101_ascend_pt", rank) as made:
            make(made)
    return run_analyse(folder / "cwd", folder, "--format", "json")


@pytest.mark.parametrize("make", REMARKS)
def test_what_to_know_before_believing_the_table(
    with_remarks: subprocess.CompletedProcess[str], make: Callable[[Database], None]
) -> None:
    rank = list(REMARKS).index(make)
    [said] = data(with_remarks)["profiles"][rank]["remarks"]
    assert REMARKS[make] in said and f"warning: rank {rank}: {said}" in with_remarks.stderr


@pytest.mark.parametrize(("domain", "kind"), [("module", 2), ("thread-2:Module", 2), ("Module", 1)])
def test_ranges_that_msprof_analyze_does_not_read_make_a_table(
    analyse: Analyse, tmp_path: Path, domain: str, kind: int
) -> None:
    with (
        database(tmp_path / "in" / "host_1_20260101_ascend_pt") as made,
        made.range("Model", domain=domain, kind=kind),
    ):
        made.operator("aten::linear", "MatMulV2", us=3)
    done = analyse(tmp_path / "in")
    assert done.returncode == 0 and figures(cells(done.stdout, "Model"))[0] == "3.000 µs"


def test_two_of_them_module_by_module(analyse: Analyse, tmp_path: Path) -> None:
    before = profile(tmp_path / "before")
    with database(tmp_path / "after" / "host_1_20260101_ascend_pt") as made:
        model(made, us=5)
        with made.range("Extra"):
            made.operator("aten::mul", "Mul", us=3)
    after = tmp_path / "after"
    done = analyse(before, "--compare", after)
    assert done.returncode == 0, done.stderr
    attention = figures(cells(done.stdout, "Attention"))
    assert attention == [
        "120.0 µs",
        "30.00 µs",
        "-90.00 µs",
        "-75.0%",
        "4",
        "2",
        "30.00 µs",
        "15.00 µs",
        "62.5%",
        "50.8%",
    ]
    assert figures(cells(done.stdout, "Extra"))[:3] == ["3.000 µs", "+3.000 µs", "only B"]
    assert (
        "! only in B: 1 module: Extra" in done.stdout
        and "! modules were not called equally often" in done.stdout
    )
    told = data(analyse(before, "--compare", after, "--format", "json"))
    assert told["schema"] == "autoinstr.modules.compare/1" and told["a"]["device_ns"] == 192_000
    rows = {row["path"]: row for row in told["rows"]}
    assert rows["Extra"]["only_in"] == "b" and rows["Extra"]["device_ns_a"] is None
    assert (
        rows["Model/Layer/Attention"]["difference_ns"] == -90_000
        and rows["Model/Layer/Attention"]["ratio"] == 0.25
    )


def test_both_sides_of_a_comparison_need_a_table(analyse: Analyse, tmp_path: Path) -> None:
    with database(tmp_path / "after" / "host_1_20260101_ascend_pt") as made:
        no_kernels(made)
    done = analyse(profile(tmp_path / "before"), "--compare", tmp_path / "after")
    assert (
        done.returncode == 1
        and f"{tmp_path / 'after'}: no module table: rank 0: no kernels" in done.stderr
        and not done.stdout
    )


@pytest.mark.peers
def test_the_table_is_checked_with_msprof_analyze(
    analyse: Analyse, msprof: Path, tmp_path: Path
) -> None:
    """It does not find what lies below 20 levels, and counts the kernels of another thread."""
    profile(tmp_path / "in")
    with database(tmp_path / "in" / "host_2_20260101_ascend_pt", rank=1) as made:
        nest(made)
        with made.range("Waits"):
            made.operator("aten::add", "Add", us=1, tid=TID + 1)
    done = analyse(tmp_path / "in", "--format", "json", tool=msprof)
    assert done.returncode == 0, done.stderr
    first, second = (one["check"] for one in data(done)["profiles"])
    assert (first["equal"], first["differences"]) == (5, [])
    assert second["equal"] == 20
    assert [(one["path"][-3:], one["ours"], one["fault"]) for one in second["differences"]] == [
        *((f"M{level}", {"count": 1, "device_ns": 1_000}, TOO_DEEP) for level in range(20, 25)),
        ("its", None, BY_TIME),
    ]


@pytest.mark.peers
def test_msprof_analyze_is_found_on_the_path(
    analyse: Analyse, msprof: Path, tmp_path: Path
) -> None:
    done = analyse(
        profile(tmp_path / "in"),
        "--check-with",
        "msprof-analyze",
        env={"PATH": f"{MSPROF}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0
    assert "rank 0: 5 operators of modules equal to msprof-analyze's, 0 not" in done.stdout


def test_a_difference_without_a_known_cause_is_a_failure(analyse: Analyse, tmp_path: Path) -> None:
    tool = tmp_path / "msprof-analyze"
    tool.write_text(FAKE_TABLE.format(python=sys.executable))
    tool.chmod(0o755)
    done = analyse(profile(tmp_path / "in"), tool=tool)
    assert done.returncode == 1 and "0 operators of modules equal to msprof-analyze's, 6 not" in (
        done.stdout
    )
    assert "rank 0: 6 differences from msprof-analyze have no known cause, the first at" in (
        done.stderr
    )


def test_without_msprof_analyze_one_line_says_what_to_install(
    analyse: Analyse, tmp_path: Path
) -> None:
    folder = profile(tmp_path / "in")
    words = ("--check-with", "msprof-analyze")
    done = analyse(folder, *words, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 1 and done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith(
        "autoinstr: error: msprof-analyze is not installed: pip install 'autoinstr[ascend]'"
    )
    wrong = analyse(folder, tool=tmp_path / "nowhere")
    assert wrong.returncode == 2 and "not an executable program" in wrong.stderr
    assert analyse(folder, env={"PATH": "/usr/bin:/bin"}).returncode == 0


def test_raw_profiles_need_torch_npu(analyse: Analyse, tmp_path: Path) -> None:
    (tmp_path / "in" / "host_1_20260101_ascend_pt" / "FRAMEWORK").mkdir(parents=True)
    done = analyse(tmp_path / "in", env={"PATH": "/nowhere"})
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert (
        line.startswith("autoinstr: error: torch_npu is not installed for this Python")
        and "--python" in line
    )
    wrong = analyse(tmp_path / "in", "--python", "/bin/false")
    assert wrong.returncode == 2 and "--python /bin/false: has no torch_npu" in wrong.stderr


def test_a_tool_that_fails_is_quoted_without_addresses(analyse: Analyse, tmp_path: Path) -> None:
    """The exit status shows nothing, so the result of the tool is checked."""
    tool = tmp_path / "msprof-analyze"
    tool.write_text(
        "#!/bin/sh\necho 'built from https://name:word@host/x'\necho 'ERROR: it went "
        "wrong'\nexit 0\n"
    )
    tool.chmod(0o755)
    done = analyse(profile(tmp_path / "in"), tool=tool)
    assert done.returncode == 1 and "rank 0: msprof-analyze failed: ERROR: it went" in done.stderr
    assert "://" not in done.stderr + done.stdout


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_it_started_ends_with_it(tmp_path: Path, number: int, status: int) -> None:
    tool = tmp_path / "msprof-analyze"
    tool.write_text(
        f"#!/bin/sh\nsleep 600 &\necho $$ $! >{tmp_path}/draft\nmv {tmp_path}/draft "
        f"{tmp_path}/pids\nwait\n"
    )
    tool.chmod(0o755)
    folder = profile(tmp_path / "in")
    command = [
        sys.executable,
        "-m",
        "autoinstr",
        "analyse",
        str(folder),
        "--check-with",
        "msprof-analyze",
        "--msprof-analyze",
        str(tool),
    ]
    env = clean_environment(PYTHONPATH=str(REPO), TMPDIR=str(tmp_path))
    process = subprocess.Popen(
        command, env=env, stderr=subprocess.PIPE, text=True, preexec_fn=hears_ctrl_c
    )
    try:
        until = time.monotonic() + 60
        while (
            not (tmp_path / "pids").exists() and process.poll() is None and time.monotonic() < until
        ):
            time.sleep(0.05)
        pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status and "Traceback" not in said
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, pids))
    assert not list(tmp_path.glob("autoinstr-analyse-*"))


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_results_that_a_killed_run_put_aside_are_put_back(analyse: Analyse, tmp_path: Path) -> None:
    folder = profile(tmp_path / "in")
    aside = folder / "host_1_20260101_ascend_pt" / "ASCEND_PROFILER_OUTPUT.before-autoinstr"
    aside.mkdir()
    (aside / "trace_view.json").write_text("mine")
    assert analyse(folder, tool=tmp_path, env={"PATH": "/nowhere"}).returncode == 2
    assert aside.exists()  # nothing was done yet: the tool is missing
    assert analyse(folder).returncode == 0
    assert (
        not aside.exists()
        and (aside.parent / "ASCEND_PROFILER_OUTPUT" / "trace_view.json").read_text() == "mine"
    )


def test_the_agent_stays_off_in_what_it_starts(analyse: Analyse, tmp_path: Path) -> None:
    tool = tmp_path / "msprof-analyze"
    tool.write_text('#!/bin/sh\necho "ERROR AUTOINSTR=$AUTOINSTR"\n')
    tool.chmod(0o755)
    assert (
        "ERROR AUTOINSTR=0"
        in analyse(profile(tmp_path / "in"), tool=tool, env={"AUTOINSTR": "1"}).stderr
    )
