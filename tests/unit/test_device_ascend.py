"""Device time by module from torch_npu's databases, and what is said of those without it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from autoinstr.base.errors import AutoinstrError
from autoinstr.cli import main
from autoinstr.device.ascend.check import split_kernels
from autoinstr.device.ascend.database import connect, read_facts
from autoinstr.device.ascend.writers import is_being_written
from tests.support.ascend_db import TID, US, Database, database, model
from tests.unit.test_device_times import bases, own, read

FOLDER = "host_1_20260101_ascend_pt"


def test_modules_operators_and_collectives(tmp_path: Path) -> None:
    with database(tmp_path / FOLDER) as made:
        model(made)
    report = read(tmp_path / FOLDER)
    assert bases(report) == {"eager": (9, 92 * US), "outside": (1, 4 * US)}
    assert own(report) == {
        "Model/Embedding": {"eager": [1, 2 * US]},
        "Model/Layer/Attention": {"eager": [2, 40 * US]},
        "Model/Layer/Attention/Linear": {"eager": [2, 20 * US]},
        "Model/Layer/MLP": {"eager": [2, 10 * US]},
        "Model/Layer/MLP/Linear": {"eager": [2, 20 * US]},
    }
    [profile] = report["device"]["profiles"]
    assert (profile["kind"], profile["rank"]) == ("ascend", 0)
    assert profile["kinds"]["communication"] == {"kernels": 2, "device_ns": 10 * US}


def from_rows_of_torch(made: Database) -> None:
    """No mstx: with_modules has rows of its own."""
    start = made.tick()
    made.operator("aten::linear", "MatMulV2")
    row = (str(start), str(made.tick()), TID, None, made.name("nn.Module: Net_0"))
    made.insert("PYTORCH_API", *row, None, None, 0, 0, 0, 50003)


def backward_by_number(made: Database) -> None:
    """torch_npu writes the sequence number to the node's own operator, and not to the node."""
    with made.range("Net"):
        made.operator("aten::linear", "MatMulV2")
        made.connection.execute("UPDATE PYTORCH_API SET sequenceNumber = 5")
    node, tid = made.tick(), TID + 1
    start = made.tick()
    link = (70_000, made.tasks + 1)
    end = made.tick()
    name = made.name("autograd::engine::evaluate_function: MmBackward0")
    made.insert("PYTORCH_API", str(node), str(made.tick()), tid, None, name, -1, 0, 0, 0, 0, 50001)
    name = made.name("MmBackward0")
    row = (str(start), str(end), tid, link[0], name)
    made.insert("PYTORCH_API", *row, 5, 1, 0, 0, 0, 50001)
    made.insert("CONNECTION_IDS", *link)
    made.tasks += 1
    task = (made.device, made.device + 7, 0, made.tasks, made.tasks, 4242, 0, 0, 2, made.tasks, 0)
    made.insert("TASK", *task)
    made.insert("COMPUTE_TASK_INFO", made.name("Grad"), made.tasks, 0, made.name("Grad"))


CASES: dict[Callable[[Database], None], dict[str, dict[str, list[int]]]] = {
    from_rows_of_torch: {"Net": {"eager": [1, 10 * US]}},
    backward_by_number: {"Net": {"eager": [1, 10 * US], "backward": [1, 7]}},
}


@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__)
def test_each_kind_of_database(tmp_path: Path, build: Callable[[Database], None]) -> None:
    with database(tmp_path / FOLDER) as made:
        build(made)
    assert own(read(tmp_path / FOLDER)) == CASES[build]


def test_an_empty_database_is_no_database_without_ranges(tmp_path: Path) -> None:
    with database(tmp_path / FOLDER) as made:
        model(made)
    next(tmp_path.rglob("*.db")).write_bytes(b"")
    with pytest.raises(AutoinstrError, match=r"is empty: the export was killed"):
        read(tmp_path / FOLDER)


def test_an_export_that_was_not_finished(tmp_path: Path) -> None:
    with database(tmp_path / FOLDER) as made:
        model(made)
        made.connection.execute("DROP TABLE TASK")
        made.connection.execute("DROP TABLE COMMUNICATION_OP")
    with pytest.raises(AutoinstrError, match="has no table TASK: its export was not finished"):
        read(tmp_path / FOLDER)


def test_text_results_need_a_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / FOLDER / "ASCEND_PROFILER_OUTPUT"
    output.mkdir(parents=True)
    (output / "trace_view.json").write_text("[]")
    for command in ("report", "analyse"):
        assert main([command, str(tmp_path)]) == 1
        assert "has text results only" in capsys.readouterr().err


@pytest.mark.parametrize(("connection", "count"), [(4294967295, 0), (4000000007, 12)])
def test_a_range_with_a_stream_has_a_task_of_its_connection(
    tmp_path: Path, connection: int, count: int
) -> None:
    """CANN gives 4294967295 to tasks and ranges without a connection."""
    with database(tmp_path / FOLDER) as made:
        model(made)
        made.connection.execute("UPDATE MSTX_EVENTS SET connectionId = ?", (connection,))
        made.insert("TASK", 1, 2, 0, connection, 900, 4242, 0, 0, 2, 900, 0)
    opened = connect(str(next(tmp_path.rglob("*.db"))))
    assert read_facts(opened).with_stream == count
    opened.close()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("K, L", ["K", "L"]),
        ("gemm<int, 4>(int, char*), add", ["gemm<int, 4>(int, char*)", "add"]),
    ],
)
def test_names_of_kernels_may_hold_commas(text: str, names: list[str]) -> None:
    assert split_kernels(text) == names


def test_results_that_somebody_writes_are_left_alone(tmp_path: Path) -> None:
    output = tmp_path / FOLDER / "ASCEND_PROFILER_OUTPUT"
    output.mkdir(parents=True)
    (tmp_path / FOLDER / "FRAMEWORK").mkdir()
    assert not is_being_written(str(tmp_path / FOLDER))  # nothing is there
    (output / "kernel_details.csv").write_text("")
    assert is_being_written(str(tmp_path / FOLDER))
    for path in (output / "kernel_details.csv", output, output.parent / "FRAMEWORK", output.parent):
        os.utime(path, (1, 1))
    assert not is_being_written(str(tmp_path / FOLDER))


@pytest.mark.parametrize("is_swapped", [False, True])
def test_the_flops_come_from_the_shapes_of_operators(tmp_path: Path, is_swapped: bool) -> None:
    """torch_npu of 2025 swaps the columns of types and shapes, and ends lines inside the text."""
    with database(tmp_path / FOLDER) as made:
        with made.range("Net"):
            made.operator("aten::addmm", "MatMulV2")
        texts = ["float;\r\nfloat;\r\nfloat;\r\nScalar", "5;\r\n2,3;\r\n3,5;\r\n"]
        numbers = [made.name(text) for text in texts]
        made.connection.execute(
            "UPDATE PYTORCH_API SET inputDtypes = ?, inputShapes = ?",
            numbers[::-1] if is_swapped else numbers,
        )
    [row] = [row for row in read(tmp_path / FOLDER)["rows"] if row["device"]]
    assert (row["device"]["flops"], row["device"]["operand_bytes"]) == (60, 4 * (5 + 6 + 15 + 10))


def test_memory_belongs_to_the_operator_of_its_name(tmp_path: Path) -> None:
    """No simulated device writes OP_MEMORY: the columns are those of a real database."""
    with database(tmp_path / FOLDER) as made:
        with made.range("Net"):
            made.operator("aten::addmm", "MatMulV2")
        query = "SELECT CAST(startNs AS INTEGER) + 1 FROM PYTORCH_API"
        [(time,)] = made.connection.execute(query)
        columns = "name, size, allocationTime, releaseTime, allocationTotalAllocated"
        made.connection.execute(f"CREATE TABLE OP_MEMORY ({columns})")
        for name, size, at, total in (
            ("aten::addmm", 512, time, 1_512),
            ("MatMulV2", 1_024, time, 2_536),  # workspace
            ("aten::addmm", 64, time + 90_000_000, 2_600),  # no such operator runs
            ("aten::addmm", 64, None, None),  # allocated before
        ):
            made.insert("OP_MEMORY", made.name(name), size, at, at, total)
    report = read(tmp_path / FOLDER)
    [row] = [row for row in report["rows"] if row["device"]]
    keys = ("allocated_bytes", "net_bytes", "peak_bytes")
    assert [row["device"][key] for key in keys] == [512, None, 1_512]
    assert report["device"]["profiles"][0]["memory"] == {
        "events": 3, "allocated_bytes": 1_600, "net_bytes": None, "peak_bytes": 2_600
    }  # fmt: skip


def write_counters(folder: Path) -> Path:
    """A database with the counters of two matrix products, of one vector kernel, and of a task that
    is no kernel. No simulated device writes TASK_PMU_INFO: the columns are those of a real one."""
    with database(folder / FOLDER) as made:
        with made.range("Net"):
            for name in ("MatMulV2", "MatMulV2", "Add"):
                made.operator("aten::op", name, us=10)
        made.connection.execute("CREATE TABLE TASK_PMU_INFO (globalTaskId, name, value NUMERIC)")
        products = [
            {"aic_total_time": 100, "aic_mac_ratio": 0.5, "aic_cube_ratio": 0, "aiv_total_time": 0},
            {"aic_total_time": 300, "aic_mac_ratio": 0.1, "aiv_total_time": 0, "aiv_vec_ratio": 0},
        ]
        query = "SELECT globalTaskId FROM COMPUTE_TASK_INFO ORDER BY 1"
        tasks = [number for (number,) in made.connection.execute(query)]
        for task, values in zip(
            (*tasks, 9_999), (*products, {"ub_bw_ratio": 0.25}, {"aic_mac_ratio": 1})
        ):
            for metric, value in values.items():
                made.insert("TASK_PMU_INFO", task, made.name(metric), value)
    return folder


def test_counters_are_weighted_by_the_time_of_their_core(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_counters(tmp_path)
    assert main(["report", str(folder), "--table", "pmu", "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "kernel,kernels,device_ns,aic_mac_ratio,ub_bw_ratio",
        "MatMulV2,2,20000,0.2,",
        "Add,1,10000,,0.25",
    ]
    assert main(["report", str(folder), "--table", "pmu", "--limit", "1"]) == 0
    heading, _, columns, row, *rest = capsys.readouterr().out.splitlines()
    assert "3 kernels with counters, 30.0" in heading
    assert columns.split() == ["kernel", "kernels", "device", "aic", "mac", "ub", "bw"]
    assert row.split() == ["MatMulV2", "2", "20.00", "µs", "20.0%", "-"]
    assert rest == ["… 1 more line (--limit 0 shows all)"]


def test_without_counters_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with database(tmp_path / FOLDER) as made:
        model(made)
    assert main(["report", str(tmp_path), "--table", "pmu"]) == 0
    assert "no counters: this needs a profile of torch_npu" in capsys.readouterr().out
