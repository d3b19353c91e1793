"""`autoinstr analyse` on what the real torch_npu leaves: raw profiles of an unedited program under
the agent, as vLLM's workers leave them.

What this leaves unproved: device times, and an analysis by CANN's own msprof (cann/msprof.py runs
in its place)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.npu import simulated, under_agent
from tests.npu.analysed import Analysed, analyse
from tests.npu.exported import MSPROF_ANALYZE
from tests.npu.simulated import Ran

PROGRAM = """
with torch.no_grad():
    for folder in ("one", "two"):
        with profile(folder, level="Level1", analyse=False):
            for _ in range(3 if folder == "one" else 1):
                net(x)
    with profile("texts", export=("text",), level="Level1", analyse=False):
        net(x)
P.profiler.analyse("texts", export_type=["text"])
give(names=[type(module).__name__ for module in net.modules()])
"""


@pytest.fixture(scope="module", autouse=True)
def msprof() -> None:
    """All of them need it."""
    try:
        simulated.require(MSPROF_ANALYZE)
    except simulated.Unavailable as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def ran(cann: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return under_agent.run(cann, tmp_path_factory.mktemp("analyse") / "run", PROGRAM)


@pytest.fixture(scope="module")
def both(cann: Path, ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> Analysed:
    """Two raw sessions of one process, below one folder."""
    folder = tmp_path_factory.mktemp("both") / "in"
    for name in ("one", "two"):
        shutil.copytree(ran.folder / name, folder / name)
    return analyse(cann, folder, "--format", "json")


def test_raw_profiles_are_analysed_and_the_tables_have_the_modules_that_were_called(
    both: Analysed, ran: Ran
) -> None:
    assert both.done.returncode == 0, both.done.stderr
    profiles = both.told["profiles"]
    assert [one["problem"] for one in profiles] == [None, None]
    for at, calls in enumerate((3, 1)):
        rows = {row["path"]: row["calls"] for row in both.told["rows"] if row["profile"] == at}
        assert rows == {
            "Net": calls,
            "Net/Block": 2 * calls,
            "Net/Block/Linear": 4 * calls,
            "Net/Block/ReLU": 2 * calls,
            "Net/Linear": calls,
        }


def test_every_operator_launched_its_kernels_inside_a_module(both: Analysed) -> None:
    """Self-consistency: the simulation makes one kernel of each operator."""
    rows = {row["path"]: row for row in both.told["rows"] if row["profile"] == 1}
    assert (
        rows["Net/Block/ReLU"]["self_kernels"] == 2
        and rows["Net"]["device_ns"] > rows["Net/Block"]["device_ns"] > 0
    )
    assert (
        rows["Net"]["self_ns"] + rows["Net/Block"]["device_ns"] + rows["Net/Linear"]["device_ns"]
        == rows["Net"]["device_ns"]
    )


def test_sessions_of_one_process_are_kept_apart(both: Analysed) -> None:
    [remark] = both.told["remarks"]
    assert (
        remark
        == "2 profiles have no rank (one after the other: sessions); each has its own figures"
    )


def test_the_words_of_torch_npu_stay_out_of_the_report(both: Analysed) -> None:
    assert "profiler.py" not in both.done.stdout and not [
        line for line in both.done.stderr.splitlines() if "autoinstr: " not in line
    ]


def test_a_second_time_nothing_is_analysed_again(cann: Path, both: Analysed) -> None:
    made = {path: path.stat().st_mtime_ns for path in both.folder.rglob("*")}
    again = analyse(cann, both.folder, "--format", "json", "--python", "/bin/false")
    assert again.told == both.told
    assert {path: path.stat().st_mtime_ns for path in both.folder.rglob("*")} == made


def test_results_that_are_there_already_are_not_lost(cann: Path, ran: Ran, tmp_path: Path) -> None:
    """vllm-ascend asks for text: torch_npu's analysis begins with removing what it made then."""
    folder = tmp_path / "texts"
    shutil.copytree(ran.folder / "texts", folder)
    [output] = folder.glob("*/ASCEND_PROFILER_OUTPUT")
    (output / "trace_view.json").write_text("mine")
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    done = analyse(cann, folder)
    assert done.done.returncode == 0 and "Block" in done.done.stdout
    after = {path.name: path.read_bytes() for path in output.iterdir()}
    assert before.items() <= after.items() and "ascend_pytorch_profiler.db" in after
    assert [path.name for path in output.parent.iterdir() if "before" in path.name] == []


def test_an_analysis_that_fails_is_quoted_and_costs_nothing(
    cann: Path, ran: Ran, tmp_path: Path
) -> None:
    folder = tmp_path / "texts"
    shutil.copytree(ran.folder / "texts", folder)
    [output] = folder.glob("*/ASCEND_PROFILER_OUTPUT")
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    done = analyse(cann, folder, found=False).done
    assert done.returncode == 1
    assert (
        "no module table: torch_npu's offline analysis failed (it made no database)" in done.stdout
    )
    assert "its last output:" in done.stderr and "  | " in done.stderr
    [error] = [line for line in done.stderr.splitlines() if line.startswith("autoinstr: error: ")]
    assert "torch_npu's offline analysis failed" in error
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before


def test_a_profile_that_was_never_stopped_is_named(cann: Path, ran: Ran, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    shutil.copytree(ran.folder / "one", folder)
    next(folder.glob("*/profiler_info*.json")).unlink()
    shutil.rmtree(next(folder.glob("*/FRAMEWORK")))
    (next(folder.iterdir()) / "FRAMEWORK").mkdir()
    done = analyse(cann, folder, found=False).done
    assert done.returncode == 1 and "the profiler was never stopped in this one" in done.stdout
