"""Databases from recordings and traces made by hand, without msprof-analyze.

The tests cover links, tasks, the matching of traces and processes, and refusals.
"""

from __future__ import annotations

import json
import os
import random
import re
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from autoinstr.analysis.blocks import ignore_tick
from autoinstr.cli import main
from autoinstr.device.ascend import profiles
from autoinstr.device.ascend.contents import read_contents
from autoinstr.device.ascend.database import connect, read_facts
from autoinstr.device.ascend.loader import load_database
from autoinstr.device.ascend.module_times import compute_module_times
from autoinstr.recording.run import open_run
from autoinstr.report.ascend_db import alignment
from autoinstr.report.ascend_db.alignment import Alignment
from autoinstr.report.ascend_db.export import ExportedProcess, export
from autoinstr.report.ascend_db.writer import DatabaseWriter
from tests.npu.exported import rows
from tests.support.examples import scale_examples
from tests.support.kineto import Trace
from tests.support.recordings import Call, make_recording, set_clock

US = 1_000
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give a folder to another user"
)
CLOCK = 5_000_000_000
MODEL: list[Call] = [
    (0, "", "Model", 100, 300),
    (0, "a", "Linear", 110, 155),
    (0, "b", "Linear", 158, 200),
]


def record(
    run: Path, calls: list[Call], pid: int = 1000, base: int = Trace().base, **header: Any
) -> Path:
    """Write a recording of calls in microseconds. Its clock is that of a trace made by hand."""
    moved = [
        (thread, path, cls, CLOCK + start * US, None if end is None else CLOCK + end * US)
        for thread, path, cls, start, end in calls
    ]
    set_clock(make_recording(str(run), moved, pid=pid, header=header), base, CLOCK)
    return run


def made(
    tmp_path: Path, calls: list[Call], trace: Trace | None, naming: str = "class"
) -> ExportedProcess:
    run = record(tmp_path / "run", calls)
    traces = [str(trace.write(tmp_path / "trace.json"))] if trace else []
    [one] = export(open_run(str(run)), traces, str(tmp_path / "out"), naming, ignore_tick)
    return one


def database(one: ExportedProcess) -> Path:
    [found] = Path(one.folder.path).rglob("*.db")
    return found


def texts(one: ExportedProcess, query: str) -> list[tuple[Any, ...]]:
    """Return rows; columns whose name ends in _ are replaced by the texts of their ids."""
    names = dict(rows(database(one), "SELECT id, value FROM STRING_IDS"))
    with sqlite3.connect(database(one)) as connection:
        cursor = connection.execute(query)
        return [
            tuple(
                names.get(value) if column[0].endswith("_") else value
                for column, value in zip(cursor.description, row)
            )
            for row in cursor
        ]


def failing(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    status = main([str(word) for word in words])
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1, told
    return status, told.err.removeprefix("autoinstr: error: ").rstrip()


# -- ranges ----------------------------------------------------------------------------------------


def test_a_recording_alone_gives_host_ranges_in_the_form_of_mstx(tmp_path: Path) -> None:
    one = made(tmp_path, MODEL, None)
    query = """SELECT startNs, endNs, eventType, rangeId, category, message AS m_, globalTid,
        endGlobalTid, domainId AS d_, connectionId FROM MSTX_EVENTS"""
    base, thread, none = Trace().base, 1000 << 32 | 4000, 4294967295
    assert texts(one, query) == [
        (base + start * US, base + end * US, 2, number, none, cls, thread, thread, "Module", none)
        for number, (_, _, cls, start, end) in enumerate(MODEL, 1)
    ]
    tables = {name for (name,) in rows(database(one), "SELECT name FROM sqlite_master")}
    assert not tables & {
        "PYTORCH_API",
        "TASK",
        "COMPUTE_TASK_INFO",
        "CANN_API",
        "CONNECTION_IDS",
        "COMMUNICATION_OP",
    }
    assert rows(database(one), "SELECT * FROM RANK_DEVICE_MAP") == [(0, -1)]
    assert rows(database(one), "SELECT hostName FROM HOST_INFO") == [("host",)]
    assert rows(database(one), "SELECT * FROM SESSION_TIME_INFO") == [
        (base + 100 * US, base + 300 * US)
    ]
    assert dict(rows(database(one), "SELECT * FROM ENUM_MSTX_EVENT_TYPE"))[2] == "start/end"


def test_the_folder_is_the_one_that_torch_npu_would_make(tmp_path: Path) -> None:
    one = made(tmp_path, MODEL, None)
    folder = Path(one.folder.path)
    assert re.fullmatch(r"host_1000_\d{17}_ascend_pt", folder.name)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(folder)) for path in files) == [
        "ASCEND_PROFILER_OUTPUT/ascend_pytorch_profiler_0.db",
        "profiler_info_0.json",
        "profiler_metadata.json",
    ]
    [found] = profiles.find_profiles(str(tmp_path / "out")).profiles
    assert (found.rank, found.raw, found.database) == (0, False, str(database(one)))
    assert json.loads((folder / "profiler_metadata.json").read_text())["autoinstr"]["run"] == str(
        tmp_path / "run"
    )


@pytest.mark.parametrize(
    ("naming", "names"),
    [
        ("class", ["Model", "Linear"]),
        ("path", ["Model", "layers.0.up"]),
        ("path:class", ["Model", "layers.0.up:Linear"]),
    ],
)
def test_names_of_modules(tmp_path: Path, naming: str, names: list[str]) -> None:
    calls: list[Call] = [(0, "", "Model", 100, 300), (0, "layers.0.up", "Linear", 110, 155)]
    assert [
        name
        for (name,) in texts(
            made(tmp_path, calls, None, naming), "SELECT message AS m_ FROM MSTX_EVENTS"
        )
    ] == names


def test_what_never_ended_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = record(tmp_path / "run", [(0, "", "Model", 100, None), (0, "a", "Linear", 110, 155)])
    assert main(["report", str(run), "--format", "ascend-db"]) == 0
    assert "left out 1 range that never ended" in capsys.readouterr().err
    [found] = run.rglob("*.db")
    assert rows(found, "SELECT COUNT(*) FROM MSTX_EVENTS") == [(1,)]


def test_names_that_no_database_takes_are_written_all_the_same(tmp_path: Path) -> None:
    one = made(tmp_path, [(0, "", "Mod\ud800el'\x00/", 100, 300)], None)
    assert texts(one, "SELECT message AS m_ FROM MSTX_EVENTS") == [("Mod\\ud800el'\x00/",)]


# -- operators and tasks ---------------------------------------------------------------------------

TASKS = """SELECT i.name AS n_, t.taskType AS k_, t.startNs - {base}, t.endNs - {base},
    a.name AS o_, t.deviceId, t.streamId FROM TASK t JOIN COMPUTE_TASK_INFO i USING (globalTaskId)
    JOIN CONNECTION_IDS c ON c.connectionId = t.connectionId
    JOIN PYTORCH_API a ON a.connectionId = c.id ORDER BY t.startNs"""


def tasks(one: ExportedProcess) -> list[tuple[Any, ...]]:
    """Return (name, kind, start, end, operator, device, stream); times in microseconds of the
    trace.
    """
    assert one.traced is not None
    found = texts(one, TASKS.format(base=Trace().base + one.traced.alignment.offset_ns))
    return [(name, kind, start / US, end / US, *rest) for name, kind, start, end, *rest in found]


def test_on_a_cpu_the_operators_that_no_other_called_are_the_tasks(tmp_path: Path) -> None:
    trace = Trace()
    trace.operator("aten::linear", 120 * US, 150 * US)
    trace.operator("aten::addmm", 125 * US, 145 * US)
    trace.operator("aten::add", 210 * US, 220 * US)
    one = made(tmp_path, MODEL, trace)
    assert tasks(one) == [
        ("aten::linear", "cpu_op", 120, 150, "aten::linear", -1, 4000),
        ("aten::add", "cpu_op", 210, 220, "aten::add", -1, 4000),
    ]
    links = rows(database(one), "SELECT COUNT(*) FROM PYTORCH_API WHERE connectionId IS NULL")
    assert links == [(1,)]  # aten::addmm is there, and is no task


def test_an_operator_that_calls_modules_is_a_task_of_its_own_time(tmp_path: Path) -> None:
    """torch.utils.checkpoint does this: the forward of an autograd Function calls the modules."""
    trace = Trace()
    trace.operator("CheckpointFunction", 105 * US, 290 * US)
    trace.operator("aten::inner", 107 * US, 109 * US)
    trace.operator("aten::linear", 120 * US, 150 * US)
    trace.operator("aten::linear", 160 * US, 190 * US)
    one = made(tmp_path, MODEL, trace)
    offset = one.traced.alignment.offset_ns / US if one.traced else 0
    own = [(105, 110 - offset), (155 - offset, 158 - offset), (200 - offset, 290)]
    assert [(task[2], task[3]) for task in tasks(one) if task[0] == "CheckpointFunction"] == own
    assert [task[2:4] for task in tasks(one) if task[0] == "aten::linear"] == [
        (120, 150),
        (160, 190),
    ]


def test_a_node_of_the_backward_pass_is_the_task_and_not_the_engine_around_it(
    tmp_path: Path,
) -> None:
    trace = Trace()
    trace.operator("aten::mm", 120 * US, 150 * US)
    trace.operator("autograd::engine::evaluate_function: MmBackward0", 400 * US, 480 * US)
    trace.operator("MmBackward0", 410 * US, 450 * US)
    trace.operator("aten::mm", 420 * US, 440 * US)
    trace.operator("aten::sum", 460 * US, 470 * US)
    for phase, start in (("s", 120), ("f", 410)):
        trace.events.append(
            {
                "ph": phase,
                "id": 7,
                "pid": 1000,
                "tid": 4000,
                "ts": start,
                "cat": "fwdbwd",
                "name": "fwdbwd",
            }
        )
    one = made(tmp_path, MODEL, trace)
    assert [task[0] for task in tasks(one)] == ["aten::mm", "MmBackward0", "aten::sum"]
    query = """SELECT f.name AS f_, b.name AS b_ FROM (SELECT MIN(id) AS low, MAX(id) AS high
        FROM CONNECTION_IDS GROUP BY connectionId HAVING COUNT(*) > 1)
        JOIN PYTORCH_API f ON f.connectionId = low JOIN PYTORCH_API b ON b.connectionId = high"""
    assert texts(one, query) == [("aten::mm", "MmBackward0")]


def test_an_operator_that_pokes_out_of_its_module_keeps_no_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a link, msprof-analyze would end the module there and count the rest for its parent."""
    monkeypatch.setattr(
        alignment, "measure", lambda *_: Alignment(0, 3, 100, 1, 1)
    )  # one of many: the trace is not refused
    trace = Trace()
    trace.operator("aten::mm", 120 * US, 150 * US)
    trace.operator("aten::late", 152 * US, 157 * US)
    trace.operator("aten::add", 160 * US, 190 * US)
    one = made(tmp_path, MODEL, trace)
    assert one.traced is not None and one.traced.links.overlapping == 1
    assert [task[0] for task in tasks(one)] == ["aten::mm", "aten::add"]
    assert ("aten::late", None) in texts(one, "SELECT name AS n_, connectionId FROM PYTORCH_API")


def test_shapes_types_and_numbers_of_operators_are_as_torch_npu_writes_them(tmp_path: Path) -> None:
    trace = Trace()
    more = {
        "Input_type": ["float", "Scalar"],
        "Input_Dims": [[4, 8], []],
        "Sequence_number": 12,
        "Fwd_thread_id": 1,
    }
    trace.operator("aten::mm", 120 * US, 150 * US, **more)
    trace.add("user_annotation", "mine", 115 * US, 152 * US, 1000, 4000)
    one = made(tmp_path, MODEL, trace)
    query = """SELECT name AS n_, sequenceNumber, fwdThreadId, inputDtypes AS t_, inputShapes AS s_,
        type, typeof(startNs) FROM PYTORCH_API"""
    assert sorted(texts(one, query)) == [
        ("aten::mm", 12, 1, "float;Scalar", "4,8;", 50001, "text"),
        ("mine", -1, None, None, None, 50001, "text"),
    ]


def test_a_kernel_of_which_no_launch_is_told_is_there_without_a_link(tmp_path: Path) -> None:
    """Ranges on a stream have a connection; the kernel must not make a module's range look like
    one.
    """
    trace = traced(1000)
    trace.add("kernel", "lonely", 500 * US, 600 * US, 2, 7, device=2, stream=7)
    one = made(tmp_path, MODEL, trace)
    assert rows(database(one), "SELECT connectionId, deviceId, endNs - startNs FROM TASK") == [
        (-1, 2, 100 * US)
    ]
    assert rows(database(one), "SELECT * FROM RANK_DEVICE_MAP") == [(0, 2)]
    connection = connect(str(database(one)))
    facts = read_facts(connection)
    connection.close()
    assert (facts.with_stream, facts.on_cpu) == (0, False)
    store = load_database(str(database(one)), 0, ignore_tick)
    times = compute_module_times(store, ignore_tick)
    store.close()
    assert (times.kernels.number, times.linked.number) == (1, 0)


def test_events_that_are_not_understood_are_counted_and_left_out(tmp_path: Path) -> None:
    trace = Trace()
    trace.operator("aten::mm", 120 * US, 150 * US)
    good = {
        "ph": "X",
        "cat": "cpu_op",
        "name": "bad",
        "pid": 1000,
        "tid": 4000,
        "ts": 160.0,
        "dur": 5.0,
    }
    wrong = [
        {"ts": None},
        {"ts": "x"},
        {"dur": -1},
        {"ts": float("nan")},
        {"ts": 1e300},
        {"tid": "x"},
        {"name": 3},
        {"args": 5},
    ]
    trace.events += [{**good, **one} for one in wrong]
    trace.events += [
        {key: value for key, value in good.items() if key != missing}
        for missing in ("name", "tid", "ts", "dur")
    ]
    trace.events += ["text", None, 4]
    one = made(tmp_path, MODEL, trace)
    assert one.traced is not None and one.traced.trace.unreadable_events == len(wrong) + 4 + 3
    assert texts(one, "SELECT name AS n_ FROM PYTORCH_API") == [("aten::mm",)]


@pytest.mark.parametrize(
    ("bounds", "kept"), [((105, 290), ["Linear", "Linear"]), (None, ["Model", "Linear", "Linear"])]
)
def test_the_database_covers_the_profile(
    tmp_path: Path, bounds: tuple[int, int] | None, kept: list[str]
) -> None:
    """Ranges that the trace's own bounds cut are left out, as CANN does.

    A trace without bounds keeps the ranges that its operators overlap.
    """
    trace = Trace()
    trace.operator("aten::mm", 120 * US, 150 * US)
    trace.operator("aten::add", 162 * US, 195 * US)
    if bounds:
        trace.add(
            "Trace",
            "PyTorch Profiler (0)",
            bounds[0] * US,
            bounds[1] * US,
            "Spans",
            "PyTorch Profiler",
        )
    one = made(tmp_path, [*MODEL, (0, "", "Model", 2000, 2100)], trace)
    assert [
        name for (name,) in texts(one, "SELECT message AS m_ FROM MSTX_EVENTS ORDER BY startNs")
    ] == kept
    assert one.ranges.modules == len(kept)


# -- alignment -------------------------------------------------------------------------------------


def overlaps(operators: list[tuple[int, int]], ranges: list[tuple[int, int]]) -> int:
    """Count overlaps by the definition, pair by pair."""
    return sum(
        start < begin < end < stop or begin < start < stop < end
        for start, end in operators
        for begin, stop in ranges
    )


@settings(
    max_examples=scale_examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 1 << 30), st.integers(-150_000, 150_000))
@example(3692, -4161)  # an operator at the end of a range that began long before
def test_the_offset_that_is_found_leaves_no_overlap(seed: int, shift: int) -> None:
    """Random modules with random operators, and a trace whose clock is `shift` off."""
    chance = random.Random(seed)
    ranges: list[tuple[int, int]] = []
    operators: list[tuple[int, int]] = []
    now = 1_000_000

    def call(depth: int) -> None:
        nonlocal now
        begin = now
        now += chance.randint(1_000, 6_000)
        for _ in range(chance.randint(1, 4)):
            if depth < 3 and chance.random() < 0.6:
                call(depth + 1)
            else:
                operators.append((now, now + chance.randint(2_000, 40_000)))
                now = operators[-1][1]
            now += chance.randint(500, 5_000)
        ranges.append((begin, now))
        now += chance.randint(500, 5_000)

    for _ in range(12):
        call(0)
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE MSTX_EVENTS (startNs, endNs, eventType, domainId, globalTid)")
    connection.execute("CREATE TEMP TABLE OPERATORS (startNs, endNs, tid, role, cut)")
    connection.executemany("INSERT INTO MSTX_EVENTS VALUES (?,?,2,1,9)", ranges)
    moved = [(start - shift, end - shift) for start, end in operators]
    connection.executemany("INSERT INTO temp.OPERATORS VALUES (?,?,9,1,0)", moved)
    fit = alignment.measure(connection, 0, 1)
    assert (fit.ranges, fit.overlaps, fit.remaining) == (len(ranges), overlaps(moved, ranges), 0)
    assert (
        overlaps([(start + fit.offset_ns, end + fit.offset_ns) for start, end in moved], ranges)
        == 0
    )


def test_without_modules_nothing_is_moved() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE MSTX_EVENTS (startNs, endNs, eventType, domainId, globalTid)")
    connection.execute("CREATE TEMP TABLE OPERATORS (startNs, endNs, tid, role, cut)")
    assert alignment.measure(connection, 0, 1) == Alignment(0, 0, 0, 0, 0)


# -- whose trace, which rank -----------------------------------------------------------------------


def traced(pid: int, rank: int | None = None) -> Trace:
    trace = Trace(
        pid,
        **(
            {}
            if rank is None
            else {"distributedInfo": {"backend": "nccl", "rank": rank, "world_size": 2}}
        ),
    )
    trace.operator("aten::mm", 120 * US, 150 * US)
    return trace


def exported(tmp_path: Path, *traces: Trace) -> list[ExportedProcess]:
    files = [str(trace.write(tmp_path / f"{at}.json")) for at, trace in enumerate(traces)]
    return export(
        open_run(str(tmp_path / "run")), files, str(tmp_path / "out"), "class", ignore_tick
    )


def test_ranks_give_the_databases_their_names_and_those_without_get_the_next(
    tmp_path: Path,
) -> None:
    for pid, rank in ((10, None), (11, 1), (12, 0), (13, 1)):
        record(tmp_path / "run", MODEL, pid, rank=rank)
    done = exported(tmp_path, traced(11, 1))
    assert {one.recording.pid: one.folder.rank for one in done} == {10: 2, 11: 1, 12: 0, 13: 3}
    assert {(one.recording.pid, database(one).name) for one in done} == {
        (pid, f"ascend_pytorch_profiler_{rank}.db")
        for pid, rank in ((10, 2), (11, 1), (12, 0), (13, 3))
    }
    assert [one.recording.pid for one in done if one.traced] == [11]


def test_where_two_processes_have_one_number_the_rank_tells_them_apart(tmp_path: Path) -> None:
    for rank in (0, 1):
        record(tmp_path / "run", MODEL, 10, rank=rank)
    done = exported(tmp_path, traced(10, 1))
    assert [one.folder.rank for one in done if one.traced] == [1]
    assert len({one.folder.path for one in done}) == 2


def test_a_rank_that_only_the_trace_knows_is_taken(tmp_path: Path) -> None:
    record(tmp_path / "run", MODEL, 10)
    [one] = exported(tmp_path, traced(10, 3))
    assert database(one).name == "ascend_pytorch_profiler_3.db"


@pytest.fixture
def bad(tmp_path: Path) -> Iterator[Path]:
    """Make a run and traces that do not match. After each refusal there is no output."""
    record(tmp_path / "run", MODEL, 10, rank=0)
    record(tmp_path / "run", MODEL, 11)
    yield tmp_path
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_trace_of_another_process_is_refused_with_those_that_there_are(
    bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = traced(99, 5).write(bad / "t.json")
    status, error = failing(
        capsys, "report", bad / "run", "--format", "ascend-db", "--kineto", trace, "-o", bad / "out"
    )
    assert status == 1
    assert error == (
        f"{trace}: is of process 99, rank 5, which is not in this run "
        "(its processes: 11 (MainProcess), 10 (MainProcess, rank 0)): is the trace of "
        "another run?"
    )


def test_a_rank_that_contradicts_the_recordings_is_another_process(
    bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = traced(10, 1).write(bad / "t.json")
    status, error = failing(
        capsys, "report", bad / "run", "--format", "ascend-db", "--kineto", trace, "-o", bad / "out"
    )
    assert status == 1 and "is of process 10, rank 1, which is not in this run" in error


def test_two_traces_of_one_process_are_refused(
    bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--kineto",
        traced(10).write(bad / "a.json"),
        "--kineto",
        traced(10).write(bad / "b.json"),
    ]
    status, error = failing(
        capsys, "report", bad / "run", "--format", "ascend-db", *words, "-o", bad / "out"
    )
    assert status == 2 and "b.json: is of the same process as" in error


def test_a_trace_without_operators_says_what_to_do(
    bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = Trace(10).write(bad / "t.json")
    status, error = failing(
        capsys, "report", bad / "run", "--format", "ascend-db", "--kineto", trace, "-o", bad / "out"
    )
    assert (
        status == 1
        and "has no operators: profile with torch.profiler.ProfilerActivity.CPU" in error
    )


def test_a_trace_of_several_processes_is_refused(
    bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = traced(10)
    trace.add("cpu_op", "aten::mm", 130 * US, 140 * US, 11, 4000)
    file = trace.write(bad / "t.json")
    status, error = failing(
        capsys, "report", bad / "run", "--format", "ascend-db", "--kineto", file, "-o", bad / "out"
    )
    assert (
        status == 1
        and "has operators of several processes (10 and 11): give one trace for each process"
        in error
    )


@pytest.mark.parametrize("cut", [0.5, 0.99])
def test_a_trace_that_is_cut_off_leaves_nothing(
    bad: Path, capsys: pytest.CaptureFixture[str], cut: float
) -> None:
    text = traced(10).text()
    (bad / "t.json").write_text(text[: int(cut * len(text))])
    status, error = failing(
        capsys,
        "report",
        bad / "run",
        "--format",
        "ascend-db",
        "--kineto",
        bad / "t.json",
        "-o",
        bad / "out",
    )
    assert status == 1 and "is cut off after" in error


@pytest.mark.parametrize(
    ("shift_us", "words"),
    [
        (10_000, "its last range ended 9.700 ms before the trace"),
        (-10_000, "its first range began 10.05 ms after the trace"),
    ],
)
def test_a_trace_of_another_time_is_refused(
    bad: Path, capsys: pytest.CaptureFixture[str], shift_us: int, words: str
) -> None:
    trace = Trace(10, Trace().base + shift_us * US)
    trace.operator("aten::mm", 0, 50 * US)
    file = trace.write(bad / "t.json")
    status, error = failing(
        capsys, "report", bad / "run", "--format", "ascend-db", "--kineto", file, "-o", bad / "out"
    )
    assert (
        status == 1 and f"process 10 recorded nothing while this trace was made: {words}" in error
    )


# -- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--kineto", "x.json"], "--kineto: is for the format ascend-db, not for table"),
        (
            ["--format", "json", "--name", "path"],
            "--name path: is for the format ascend-db, not for json",
        ),
        (
            ["--format", "ascend-db", "--kineto", "none.json"],
            "--kineto none.json: there is no such file",
        ),
        (
            ["--format", "ascend-db", "-o", "-"],
            "-o -: ascend-db writes folders; give a directory",
        ),
        (
            ["--format", "ascend-db", "-o", __file__],
            "ascend-db writes folders; give a directory",
        ),
        (["--format", "ascend-db", "--name", "clas"], "did you mean 'class'?"),
    ],
)
def test_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], problem: str
) -> None:
    status, error = failing(capsys, "report", record(tmp_path / "run", MODEL), *words)
    assert status == 2 and problem in error


def test_a_run_without_ranges_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, error = failing(capsys, "report", record(tmp_path / "run", []), "--format", "ascend-db")
    assert status == 1 and error.endswith("holds no ranges")


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "run", MODEL, 10, roles=["EngineCore"])
    record(tmp_path / "run", MODEL, 11)
    words = ["--kineto", str(traced(11).write(tmp_path / "t.json"))]
    assert main(["report", str(tmp_path / "run"), "--format", "ascend-db", *words]) == 0
    told = capsys.readouterr().err
    assert (
        "autoinstr: no trace for pid 10 (EngineCore): host ranges only; "
        "module_statistic needs operators: profile with torch.profiler and "
        "give --kineto TRACE\n"
    ) in told
    assert (
        "has no device: operators that no other operator called are the tasks (kind cpu_op)" in told
    )
    assert told.endswith(f"for the module table: autoinstr analyse {tmp_path / 'run'}\n")
    reasons = [_reason(one) for one in profiles.find_profiles(str(tmp_path / "run")).profiles]
    assert "it was made from a recording alone" in reasons[0] and reasons[1] == ""


def _reason(profile: profiles.Profile) -> str:
    """Return the reason that `autoinstr analyse` gives for a profile without a table."""
    return read_contents(profile, ignore_tick).problem


def test_without_modules_it_says_that_there_is_nothing_for_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    file = make_recording(
        str(run), [(0, "step", "", CLOCK + 100 * US, CLOCK + 300 * US)], pid=11, domain="user"
    )
    set_clock(file, Trace().base, CLOCK)
    assert (
        main(
            [
                "report",
                str(run),
                "--format",
                "ascend-db",
                "--kineto",
                str(traced(11).write(tmp_path / "t.json")),
            ]
        )
        == 0
    )
    assert (
        "no module ranges during the trace: module_statistic has nothing to show"
        in capsys.readouterr().err
    )
    assert _reason(profiles.find_profiles(str(run)).profiles[0]).startswith(
        "no ranges of modules: this process called none"
    )


def test_it_replaces_what_it_made_before_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = record(tmp_path / "run", MODEL, 10)
    words = ["report", str(run), "--format", "ascend-db"]
    assert main(words) == 0
    [folder] = run.glob("*_ascend_pt")
    (folder / "cluster_analysis_output").mkdir()
    assert main([*words, "--kineto", str(traced(10, 4).write(tmp_path / "t.json"))]) == 0
    names = sorted(path.name for path in folder.rglob("*"))
    assert names == [
        "ASCEND_PROFILER_OUTPUT",
        "ascend_pytorch_profiler_4.db",
        "cluster_analysis_output",
        "profiler_info_4.json",
        "profiler_metadata.json",
    ]
    capsys.readouterr()
    (folder / "profiler_metadata.json").write_text("{}")  # as torch_npu's own
    before = (folder / "ASCEND_PROFILER_OUTPUT" / "ascend_pytorch_profiler_4.db").read_bytes()
    status, error = failing(capsys, *words)
    assert (
        status == 2
        and error
        == f"{folder}: exists and was not made by this command; "
        "remove it, or name another folder with -o"
    )
    assert (
        folder / "ASCEND_PROFILER_OUTPUT" / "ascend_pytorch_profiler_4.db"
    ).read_bytes() == before
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == []


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    status, error = failing(
        capsys,
        "report",
        record(tmp_path / "run", MODEL),
        "--format",
        "ascend-db",
        "-o",
        tmp_path / "file" / "below",
    )
    assert (
        status == 1 and "cannot be written: Not a directory (give another folder with -o)" in error
    )


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_who_may_enter_its_folders(
    umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody while they are made, even if somebody guessed the name; then those whom the umask
    allows.
    """
    run, out, seen = record(tmp_path / "run", MODEL), tmp_path / "out", []
    close = DatabaseWriter.close

    def watched(database: DatabaseWriter, commit: bool) -> None:
        [draft] = [path for path in out.iterdir() if path.name.startswith(".")]
        seen.append(
            (stat.S_IMODE(draft.stat().st_mode), sorted(path.name for path in draft.rglob("*")))
        )
        close(database, commit)

    monkeypatch.setattr(DatabaseWriter, "close", watched)
    before = os.umask(umask)
    try:
        assert main(["report", str(run), "--format", "ascend-db", "-o", str(out)]) == 0
        assert (
            main(["report", str(run), "--format", "ascend-db", "-o", str(out)]) == 0
        )  # into the same
    finally:
        os.umask(before)
    assert (
        seen
        == [
            (
                0o700,
                [
                    "ASCEND_PROFILER_OUTPUT",
                    "profiler_info_0.json",
                    "profiler_metadata.json",
                    "unfinished",
                ],
            )
        ]
        * 2
    )
    [folder] = out.iterdir()
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666) & ~umask, (
            path
        )


@pytest.mark.parametrize(
    "planted", ["link", "link inside", pytest.param("folder of another user", marks=needs_root)]
)
def test_a_folder_that_leads_elsewhere_is_not_ours(
    planted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other users may write to the output folder: what replaced an earlier export is not filled."""
    run, out = record(tmp_path / "run", MODEL), tmp_path / "out"
    words = ["report", str(run), "--format", "ascend-db", "-o", str(out)]
    assert main(words) == 0
    capsys.readouterr()
    [folder] = out.iterdir()
    elsewhere = tmp_path / "elsewhere"
    if planted == "folder of another user":
        os.chown(folder, 54321, 54321)
    else:
        moved = folder if planted == "link" else folder / "ASCEND_PROFILER_OUTPUT"
        moved.rename(elsewhere)
        moved.symlink_to(elsewhere)
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if path != out}
    status, error = failing(capsys, *words)
    assert status == 2 and error.startswith(f"{folder}: exists and was not made by this command")
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if path != out} == before
