"""Kernels of the simulated device in torch_npu's database, and their links.

Real here: the task queue that a launch goes through, the operators and queue entries that torch_npu
records, and its parser that links them to the launches. Simulated: the tasks. So this shows that
the database has the form of a real one; the tests of times and streams are self-consistency, not
proof."""

from __future__ import annotations

import pytest

from tests.npu.exported import database, rows, session, tasks
from tests.npu.simulated import Ran, RunNpu

SESSIONS = """
x, side = torch.ones(512, 512, device="npu"), torch_npu.npu.Stream()
def work():
    number = bound._range_start_on_host("Net", "Module")
    y = torch.relu((x @ x)[:2])  # launched while the long one before it runs
    bound._range_end(number, "Module")
    with torch_npu.npu.stream(side):
        y += 1
        bound._mark("on side", *torch_npu._C._npu_getCurrentStream(0), "device:Module")
    return y
work().sum().item()
for level in LEVELS:
    with profile(level, level=level, analyse=False):
        work().to("cpu")
    work()
for level in LEVELS:
    P.profiler.analyse(level, export_type=["db"])
give(main=threading.get_native_id(), streams=[acl_id(torch_npu.npu.current_stream()), acl_id(side)])
"""
OPERATORS = ["cannsim_matmul", "cannsim_relu", "cannsim_add_"]


def of_levels(*levels: str) -> str:
    return f"LEVELS = {levels}\n{SESSIONS}"


@pytest.fixture(scope="module")
def ran(npu: RunNpu) -> Ran:
    return npu(of_levels("Level_none", "Level0", "Level1"))


@pytest.fixture(scope="module")
def without_queue(npu: RunNpu) -> Ran:
    return npu(of_levels("Level1"), env={"TASK_QUEUE_ENABLE": "0"})


def test_each_kernel_is_linked_to_its_operator_and_to_no_other(ran: Ran) -> None:
    """Only those of the session, and none for the copy to the host."""
    found = tasks(database(ran, "Level1"))
    assert [task.kernel for task in found] == OPERATORS == [task.operator for task in found]


def test_operators_lie_in_torchs_own_and_in_the_ranges(ran: Ran) -> None:
    """One clock for mstx, for torch_npu's operators and for the launches."""
    path = database(ran, "Level1")
    matmul, relu, add = tasks(path)
    [(start, end)] = rows(
        path,
        "SELECT startNs, endNs FROM MSTX_EVENTS e "
        "JOIN STRING_IDS m ON m.id = e.message WHERE m.value = 'Net'",
    )
    assert (
        start < matmul.op_start < matmul.op_end < relu.op_start < relu.op_end < end < add.op_start
    )
    outer = dict(
        rows(
            path,
            "SELECT s.value, startNs || ' ' || endNs FROM PYTORCH_API p "
            "JOIN STRING_IDS s ON s.id = p.name",
        )
    )
    for task, name in ((matmul, "aten::matmul"), (relu, "aten::relu"), (add, "aten::add_")):
        begin, finish = map(int, outer[name].split())
        assert begin <= task.op_start < task.op_end <= finish


def test_launches_are_made_by_torch_npus_task_thread(ran: Ran) -> None:
    found = tasks(database(ran, "Level1"))
    assert {task.op_thread for task in found} == {ran.given["main"]}
    assert ran.given["main"] not in {task.launch_thread for task in found}


def test_without_the_task_queue_the_caller_launches_and_all_is_linked(without_queue: Ran) -> None:
    found = tasks(database(without_queue, "Level1"))
    assert (
        {task.launch_thread for task in found}
        == {task.op_thread for task in found}
        == {without_queue.given["main"]}
    )
    assert [task.operator for task in found] == OPERATORS


def test_without_the_task_queue_the_caller_makes_the_marks_of_a_stream(without_queue: Ran) -> None:
    [mark] = without_queue.of("mark", domain="device:Module")
    assert (mark.message, mark.tid, mark.stream) == (
        "on side",
        without_queue.given["main"],
        without_queue.given["streams"][1],
    )


def test_self_consistency_not_proof_a_stream_is_a_queue(ran: Ran) -> None:
    found = tasks(database(ran, "Level1"))
    default, side = ran.given["streams"]
    assert [task.stream for task in found] == [default, default, side] and {
        task.device for task in found
    } == {0}
    assert all(task.launched < task.start < task.end for task in found)
    assert found[0].end <= found[1].start


def test_self_consistency_not_proof_what_each_level_collects(ran: Ran) -> None:
    """Level0 (msprof's task-time l0) has no types of operators; Level_none no tasks. By msprof's
    documents."""
    assert {(task.op_type, task.kind) for task in tasks(database(ran, "Level0"))} == {
        ("N/A", "AI_CORE")
    }
    assert [task.op_type for task in tasks(database(ran, "Level1"))] == ["matmul", "relu", "add_"]
    assert not rows(
        database(ran, "Level_none"),
        "SELECT name FROM sqlite_master WHERE name IN ('TASK', 'COMPUTE_TASK_INFO', 'CANN_API')",
    )
    assert not list(session(ran, "Level_none").glob("PROF_*/host/tasks.jsonl"))
