"""Transfer and wait of collectives: the kernels of all ranks, matched by group and number."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from autoinstr.cli import main
from tests.support.ascend_db import US, database
from tests.support.kineto import Trace
from tests.unit.test_device_times import module

REDUCE = "allreduce"


def write_rank(
    folder: Path, rank: int, kernels: list[tuple[int, int | None, str]], size: int = 2
) -> None:
    """Write a profile with a kernel of these nanoseconds, number and kind for each entry, launched
    in a module, and one more kernel of communication that says nothing."""
    trace = Trace(1000 + rank, distributedInfo={"rank": rank, "world_size": size})
    module(trace, "Net", 1_000, 900_000)
    module(trace, "Linear", 2_000, 500_000)
    for index, (ns, number, name) in enumerate(kernels):
        operator = trace.operator(
            "c10d::allreduce_", 3_000 + 10_000 * index, 4_000 + 10_000 * index
        )
        launch = trace.launch(operator, 3_500 + 10_000 * index)
        numbers = {} if number is None else {"Seq": number}
        trace.kernel(
            "ncclDevKernel_AllReduce", launch, 10_000 + 100_000 * index, ns,
            Collective_name=name, Process_Group_Name="0", Process_Group_Ranks="[0, 1]",
            Group_size=size, **numbers,
        )  # fmt: skip
    trace.write(folder / f"rank{rank}.trace.json")


def report(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["report", str(folder), "--format", "json", "-o", "-"]) == 0
    loaded: dict[str, Any] = json.loads(capsys.readouterr().out)
    return loaded


def list_rows(loaded: dict[str, Any]) -> dict[tuple[int, str], tuple[Any, Any, Any]]:
    """Return transfer, wait and slowest rank of each row, by process and classes."""
    return {
        (row["process"], "/".join(row["classes"])): (
            row["device"]["transfer_ns"], row["device"]["wait_ns"], row["device"]["slowest_rank"]
        )
        for row in loaded["rows"]
        if row["device"]
    }  # fmt: skip


def test_the_shortest_kernel_is_the_transfer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # numbers need not begin at the same kernel, and a number belongs to a kind
    write_rank(tmp_path, 0, [(500, 7, REDUCE), (300, 8, REDUCE), (40, 8, "broadcast")])
    write_rank(tmp_path, 1, [(100, 7, REDUCE), (350, 8, REDUCE), (40, 8, "broadcast")])
    loaded = report(tmp_path, capsys)
    assert list_rows(loaded) == {
        (0, "Net"): (100 + 300 + 40, 400, 1),
        (0, "Net/Linear"): (100 + 300 + 40, 400, 1),
        (1, "Net"): (100 + 300 + 40, 50, 1),
        (1, "Net/Linear"): (100 + 300 + 40, 50, 1),
    }
    first, second = (entry["communication"] for entry in loaded["device"]["profiles"])
    assert first == {"kernels": 3, "transfer_ns": 440, "wait_ns": 400, "slowest_rank": 1}
    assert second == {"kernels": 3, "transfer_ns": 440, "wait_ns": 50, "slowest_rank": 1}
    assert main(["report", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert (
        "collectives: transfer 440 ns, wait 400 ns; the ranks waited the longest for rank 1"
        in shown
    )


def test_what_is_not_known_on_all_ranks_has_no_transfer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rank(tmp_path, 0, [(500, 7, REDUCE), (300, None, REDUCE), (90, 5, "send")])
    write_rank(tmp_path, 1, [(100, 7, REDUCE), (350, None, REDUCE), (80, 5, "send")])
    loaded = report(tmp_path, capsys)
    assert list_rows(loaded)[0, "Net/Linear"] == (None, None, 1)
    assert loaded["device"]["profiles"][0]["communication"]["kernels"] == 1
    assert main(["report", str(tmp_path)]) == 0
    assert "(1 of 3 kernels; of the others it is not known)" in capsys.readouterr().out


@pytest.mark.parametrize("ranks", [(0,), (0, 1), (0, 0)])
def test_a_missing_rank_leaves_it_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ranks: tuple[int, ...]
) -> None:
    for number, rank in enumerate(ranks):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_rank(folder, rank, [(500 + number, 7, REDUCE)], size=3)
    loaded = report(tmp_path, capsys)
    assert set(list_rows(loaded).values()) == {(None, None, None)}
    assert {entry["communication"] for entry in loaded["device"]["profiles"]} == {None}


def write_ascend(folder: Path, rank: int, durations: list[int], transit_ms: float | None) -> None:
    with database(folder / f"rank{rank}_ascend_pt", rank=rank) as made, made.range("Net"):
        made.operator("aten::mm", "MatMulV2")
        group = made.name("10.0.0.1%eth0_60000_0")
        for number, ns in enumerate(durations):
            name = made.name(f"hcom_allReduce__865_{number}_1")
            start = made.tick()
            row = (name, start, start + ns, 70_000 + made.tasks, group, number)
            made.insert("COMMUNICATION_OP", *row, made.name("hcom_allReduce_"))
    if transit_ms is not None:
        found = next(folder.glob(f"rank{rank}_ascend_pt/**/*.db"))
        connection = sqlite3.connect(found.parent / "analysis.db")
        with connection:
            columns = "hccl_op_name TEXT, elapse_time NUMERIC, transit_time NUMERIC"
            connection.execute(f"CREATE TABLE CommAnalyzerTime ({columns})")
            row = ("hcom_allReduce__865_0_1", durations[0] / 1e6, transit_ms)
            connection.execute("INSERT INTO CommAnalyzerTime VALUES (?,?,?)", row)
        connection.close()


@pytest.mark.parametrize("transit_ms", [None, 0.002])
def test_ascend_names_its_collectives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], transit_ms: float | None
) -> None:
    write_ascend(tmp_path, 0, [30 * US, 9 * US], transit_ms)
    write_ascend(tmp_path, 1, [10 * US, 9 * US], None)
    loaded = report(tmp_path, capsys)
    first, second = (entry["communication"] for entry in loaded["device"]["profiles"])
    transfer = 10 * US if transit_ms is None else 2 * US
    assert first == {
        "kernels": 2, "transfer_ns": transfer + 9 * US, "wait_ns": 30 * US - transfer,
        "slowest_rank": 1,
    }  # fmt: skip
    assert second["transfer_ns"] == 19 * US


@pytest.mark.parametrize("profiles", [1, 2])
def test_one_rank_of_ascend_knows_its_transfers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], profiles: int
) -> None:
    for number in range(profiles):  # two of one rank are not two ranks
        write_ascend(tmp_path / str(number), 0, [30 * US, 9 * US], 0.002)
    entries = report(tmp_path, capsys)["device"]["profiles"]
    assert [entry["communication"] for entry in entries] == profiles * [
        {"kernels": 1, "transfer_ns": 2 * US, "wait_ns": 28 * US, "slowest_rank": None}
    ]
