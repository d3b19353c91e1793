"""Absurd, damaged and cut-off profiles: a report or an error of one line, and never a lost
kernel."""

from __future__ import annotations

import copy
import functools
import io
import json
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoinstr.analysis.blocks import ignore_tick
from autoinstr.analysis.profile_run import ProfileRun
from autoinstr.base.errors import AutoinstrError
from autoinstr.device.ascend.analysis import AnalysisTools, analyse_folder
from autoinstr.device.ascend.modules import walk_modules
from autoinstr.device.profile_kinds import find_profiles
from autoinstr.report.ascend_modules import data as ascend_json
from autoinstr.report.ascend_modules import tables
from autoinstr.report.data import stats_json
from autoinstr.report.options import TableOptions
from autoinstr.report.terminal.modules_table import write_tables
from tests.support.ascend_db import Database, database, model
from tests.support.examples import scale_examples
from tests.support.kineto import ENGINE, Trace

pytestmark = pytest.mark.timeout(60)
QUICK = settings(
    max_examples=scale_examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
FEW = settings(QUICK, max_examples=scale_examples(60))
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text(max_size=4)
    | st.just([])
    | st.just({"a": 1})
    | st.integers(0, 9)
)
KEYS = st.sampled_from(["cat", "name", "ts", "dur", "pid", "tid", "args", "ph"])
ARGUMENTS = st.sampled_from(
    ["correlation", "External id", "Sequence number", "Fwd thread id", "device", "stream", "kernel",
     "Input Dims", "Input type", "Concrete Inputs", "Bytes", "Total Allocated", "Device Type",
     "Collective name", "Process Group Name", "Group size", "Seq"]
)  # fmt: skip


def sound() -> Trace:
    trace = Trace()
    trace.add("python_function", "nn.Module: Net_0", 1_000, 90_000, trace.pid, 4000)
    shapes = {"Input_Dims": [[2, 3], [3, 4]], "Input_type": ["float", "float"]}
    mm = trace.operator("aten::mm", 3_000, 10_000, Sequence_number=7, Fwd_thread_id=0, **shapes)
    trace.kernel("mm", trace.launch(mm, 4_000), 100_000, 100)
    trace.operator(f"{ENGINE}MmBackward0", 40_000, 60_000, 5000, Sequence_number=7, Fwd_thread_id=1)
    trace.kernel("grad", trace.launch(None, 42_000, 5000), 110_000, 200)
    group = {"Process_Group_Name": "0", "Group_size": 1, "Seq": 3}
    reduce = trace.launch(None, 8_000)
    trace.kernel("nccl", reduce, 120_000, 50, Collective_name="allreduce", **group)
    memory = {"Bytes": 64, "Total_Allocated": 64, "Device_Type": 1}
    trace.add("cpu_instant_event", "[memory]", 5_000, 5_000, trace.pid, 4000, **memory)
    trace.add("user_annotation", "ProfilerStep#1", 0, 99_000, trace.pid, 4000)
    return trace


def report(path: Path) -> None:
    try:
        with ProfileRun(str(path), find_profiles(str(path)), (), ignore_tick) as made:
            out = io.StringIO()
            stats_json.write(made.run, out, ignore_tick, None, made.device)
            write_tables(made.run, io.StringIO(), TableOptions(device=made.device))
            counters = TableOptions(table="pmu", device=made.device)
            write_tables(made.run, io.StringIO(), counters)
    except AutoinstrError as error:
        assert "\n" not in str(error) and "internal error" not in str(error)
    else:
        told = json.loads(out.getvalue())["device"]
        for key in ("kernels", "device_ns"):
            assert sum(basis[key] for basis in told["bases"].values()) == told[key]


def change_events(trace: Trace, changes: list[tuple[int, str, Any]]) -> None:
    """Give events other values: of their own keys, and of their arguments."""
    for index, key, value in changes:
        event = trace.events[index % len(trace.events)]
        target = event if key in ("cat", "name", "ts", "dur", "pid", "tid", "args", "ph") else None
        if target is None and isinstance(event.get("args"), dict):
            target = event["args"]
        if target is not None:
            target[key] = copy.deepcopy(value)


@QUICK
@given(st.lists(st.tuples(st.integers(0, 20), st.one_of(KEYS, ARGUMENTS), VALUES), max_size=6))
def test_events_with_any_values(tmp_path: Path, changes: list[tuple[int, str, Any]]) -> None:
    trace = sound()
    change_events(trace, changes)
    path = tmp_path / "trace.json"
    path.write_text(trace.text())
    report(path)


@QUICK
@given(st.integers(0, 3_000), st.binary(max_size=4))
def test_a_trace_that_is_cut_or_damaged(tmp_path: Path, position: int, damage: bytes) -> None:
    data = sound().text().encode()
    path = tmp_path / "trace.json"
    path.write_bytes(data[: position % len(data)] + damage)
    report(path)
    path.write_bytes(data[: position % len(data)] + damage + data[position % len(data) :])
    report(path)


def analyse(file: Path) -> None:
    """Make the table and the JSON of `autoinstr analyse`, and check that no kernel is lost."""
    analysis = analyse_folder(str(file.parent.parent), AnalysisTools(), str(file.parent))
    ascend_json.write_json(analysis, io.StringIO())
    assert list(tables.format_analysis(analysis, TableOptions()))
    for result in analysis.results:
        assert "\n" not in result.problem and bool(result.problem) != bool(result.tree)
        if result.times is not None:
            parts = result.times.by_basis.values()
            assert sum(part.number for part in parts) == result.times.kernels.number
            assigned = result.times.tree.kernels
            inside = ("eager", "backward", "recompute", "graph")
            assert assigned == sum(result.times.by_basis[name].number for name in inside)


ALL_TABLES = (
    "TASK",
    "PYTORCH_API",
    "CONNECTION_IDS",
    "COMPUTE_TASK_INFO",
    "MSTX_EVENTS",
    "CANN_API",
    "COMMUNICATION_OP",
    "OP_MEMORY",
    "TASK_PMU_INFO",
    "NPU_INFO",
)
TABLES = st.sampled_from(ALL_TABLES)


@functools.lru_cache(maxsize=1)
def make_database() -> bytes:
    """The file of a sound database. Making one anew for each example would take minutes."""
    with tempfile.TemporaryDirectory() as folder:
        with database(Path(folder, "host_1_20260101_ascend_pt")) as made:
            model(made)
            add_limits(made)
        return next(Path(folder).rglob("*.db")).read_bytes()


def add_limits(made: Database) -> None:
    """Add what says what limits a module: shapes, memory, counters and the name of the device."""
    shapes, kinds = made.name("2,3;3,4"), made.name("float;float")
    made.connection.execute(f"UPDATE PYTORCH_API SET inputShapes = {shapes}, inputDtypes = {kinds}")
    made.connection.execute(
        """CREATE TABLE OP_MEMORY AS SELECT name, 64 AS size, startNs + 1 AS allocationTime,
        64 AS allocationTotalAllocated FROM PYTORCH_API"""
    )
    made.connection.execute(
        f"""CREATE TABLE TASK_PMU_INFO AS SELECT globalTaskId, {made.name("aic_mac_ratio")} AS name,
        0.5 AS value FROM COMPUTE_TASK_INFO"""
    )
    made.connection.execute("CREATE TABLE NPU_INFO AS SELECT 0 AS id, 'Ascend910B' AS name")
    group, name = made.name("a%b"), made.name("hcom_allReduce__1_2_3")
    made.connection.execute(f"UPDATE COMMUNICATION_OP SET groupName = {group}, opName = {name}")


@contextmanager
def open_copy(data: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "host_1_20260101_ascend_pt", "ASCEND_PROFILER_OUTPUT")
        output.mkdir(parents=True)
        file = output / "ascend_pytorch_profiler_0.db"
        file.write_bytes(data)
        yield file


@FEW
@given(st.lists(st.tuples(TABLES, st.integers(0, 9), VALUES), max_size=4), st.none() | TABLES)
def test_a_database_with_any_values(
    changes: list[tuple[str, int, Any]], missing: str | None
) -> None:
    with open_copy(make_database()) as file:
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA synchronous=OFF")
        for table, column, value in changes:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            if isinstance(value, (list, dict)) or (isinstance(value, int) and abs(value) >> 63):
                continue
            try:
                connection.execute(
                    f"UPDATE {table} SET {columns[column % len(columns)]} = ? WHERE rowid % 3 = 1",
                    (value,),
                )
            except sqlite3.Error:
                continue  # a number that must be unique
        if missing is not None:
            connection.execute(f"DROP TABLE {missing}")
        connection.commit()
        connection.close()
        report(file.parent.parent)
        analyse(file)


@FEW
@given(st.permutations(list(range(6))), st.sampled_from([None, *ALL_TABLES]))
def test_rows_in_any_order(seed: list[int], reversed_table: str | None) -> None:
    """The order of rows says nothing: the figures stay as they are."""
    with open_copy(make_database()) as file:
        sound_lines = read_lines(file)
        connection = sqlite3.connect(file)
        for table in ALL_TABLES:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()
            random.Random(str(seed)).shuffle(rows)
            if table == reversed_table:
                rows.sort(key=str, reverse=True)
            connection.execute(f"DELETE FROM {table}")
            marks = ",".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        connection.commit()
        connection.close()
        assert read_lines(file) == sound_lines


def read_lines(file: Path) -> list[tuple[str, int | None, int, int]]:
    analysis = analyse_folder(str(file.parent.parent), AnalysisTools(), str(file.parent))
    [result] = analysis.results
    assert result.tree is not None
    return [
        (module.path, module.calls, module.kernels, module.total_ns)
        for module in walk_modules(result.tree)
    ]


def test_a_database_of_many_names_and_threads() -> None:
    """20,000 kernels with names, connections and threads of their own."""
    with open_copy(make_database()) as file:
        connection = sqlite3.connect(file)
        numbers = range(1_000, 21_000)
        connection.executemany(
            "INSERT INTO STRING_IDS VALUES (?,?)", ((one, f"kernel {one}") for one in numbers)
        )
        connection.executemany(
            "INSERT INTO TASK VALUES (?,?,0,?,?,4242,0,0,2,?,0)",
            ((one, one + 5, one, one, one) for one in numbers),
        )
        connection.executemany(
            "INSERT INTO COMPUTE_TASK_INFO VALUES (?,?,0,0)", ((one, one) for one in numbers)
        )
        connection.executemany(
            "INSERT INTO CANN_API VALUES (?,?,10000,?,?,?)",
            ((one, one + 1, one << 8, one, one) for one in numbers),
        )
        connection.commit()
        connection.close()
        analyse(file)
        report(file.parent.parent)


@FEW
@given(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=64))
def test_a_damaged_database(position: int, damage: bytes) -> None:
    data = bytearray(make_database())
    data[position % len(data) : position % len(data) + len(damage)] = damage
    with open_copy(bytes(data)) as file:
        report(file.parent.parent)
        analyse(file)
