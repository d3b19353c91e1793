"""Test the module tree of `autoinstr analyse`: its calls, its operators, and the place of each."""

from __future__ import annotations

from pathlib import Path

from autoinstr.device.ascend.contents import ProfileContents, read_contents
from autoinstr.device.ascend.module_times import ModuleTimes
from autoinstr.device.ascend.modules import (
    DeviceModule,
    Operator,
    list_lines,
    select_lines,
    sum_totals,
    walk_modules,
)
from autoinstr.device.ascend.profiles import read_profile
from tests.support.ascend_db import TID, Database, database, model


def no_tick(count: int) -> None:
    pass


def read(folder: Path) -> ProfileContents:
    profile = read_profile(str(folder))
    assert profile is not None
    return read_contents(profile, no_tick)


def read_times(folder: Path) -> ModuleTimes:
    times = read(folder).times
    assert times is not None
    return times


def tree(**times: int) -> DeviceModule:
    """Return a tree with these modules; `A__B` is the module B of A."""
    root = DeviceModule("", "")
    for path, ns in times.items():
        module = root
        for name in path.split("__"):
            module = module.get_child(name)
        module.add_operator(Operator("aten::op", ("K",), ns, 1))
    sum_totals(root)
    return root


def test_calls_and_nesting_are_those_of_the_ranges(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made:
        model(made, layers=3)
        model(made, layers=3)
    times = read_times(tmp_path / "p")
    assert {module.path: module.calls for module in walk_modules(times.tree)} == {
        "Model": 2,
        "Model/Embedding": 2,
        "Model/Layer": 6,
        "Model/Layer/Attention": 6,
        "Model/Layer/Attention/Linear": 6,
        "Model/Layer/MLP": 6,
        "Model/Layer/MLP/Linear": 6,
    }
    assert times.kernels == times.linked and times.kernels.number == 2 * (1 + 3 * 4 + 1)


def test_figures_of_a_module_include_what_is_below(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made, made.range("A"):
        made.operator("aten::a", "K", us=5)
        with made.range("B"):
            made.operator("aten::b", "K", "L", us=7)
    a, b = walk_modules(read_times(tmp_path / "p").tree)
    assert (a.total_ns, a.self_ns, a.kernels, a.self_kernels, a.calls, a.mean_ns) == (
        19_000,
        5_000,
        3,
        1,
        1,
        19_000,
    )
    assert (b.total_ns, b.kernels, b.depth, b.path) == (14_000, 2, 1, "A/B")
    assert b.operators == [Operator("aten::b", ("K", "L"), 14_000, 1)]


def test_calls_that_launch_other_kernels_are_other_operators(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made:
        for kernels in (("K",), ("K", "L"), ("K",)):
            with made.range("A"):
                made.operator("aten::a", *kernels, us=1)
    [a] = walk_modules(read_times(tmp_path / "p").tree)
    assert a.operators == [
        Operator("aten::a", ("K",), 2_000, 2),
        Operator("aten::a", ("K", "L"), 2_000, 1),
    ]


def test_classes_whose_names_end_in_a_number_are_not_mixed_up(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made, made.range("Net"):
        for name in ("Stage", "Stage_1"):
            with made.range(name):
                made.operator("aten::a", "K", us=1)
    lines = list_lines(read_times(tmp_path / "p").tree)
    assert [(line.label, line.module.total_ns) for line in lines] == [
        ("Net", 2_000),
        ("Stage", 1_000),
        ("Stage_1", 1_000),
    ]


def test_backward_modules_stand_beside_the_forward_ones(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made:
        with made.range("Net"), made.range("Linear"):
            made.operator("aten::linear", "MatMul", us=5, sequence=3)
        made.operator("AddmmBackward0", "MatMul", us=7, sequence=3, forward=1)
    lines = list_lines(read_times(tmp_path / "p").tree)
    assert [(line.depth, line.label, line.module.total_ns) for line in lines] == [
        (0, "Net", 12_000),
        (1, "Linear", 5_000),
        (1, "[Backward]Linear", 7_000),
    ]


def test_messages_with_slashes_stay_whole(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made, made.range("a/b"), made.range("c"):
        made.operator("aten::a", "K", us=1)
    lines = list_lines(read_times(tmp_path / "p").tree)
    assert [line.label for line in lines] == ["a/b", "c"]


def test_the_heaviest_lines_are_chosen_with_those_above() -> None:
    root = tree(A__B__D=5, A__C__D=7)
    shown, hidden = select_lines(list_lines(root), 3, "tree")
    assert [line.module.path for line in shown] == ["A", "A/C", "A/C/D"] and len(hidden) == 2
    assert [line.label for line in select_lines(list_lines(root), 2, "self")[0]] == [
        "A/C/D",
        "A/B/D",
    ]


def test_a_tree_deeper_than_pythons_stack_is_read(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made:
        for level in range(1_500):
            start, end = made.now + level, made.now + 10_000_000 - level
            names = made.name("M"), TID, TID, made.name("Module")
            made.insert("MSTX_EVENTS", start, end, 2, 1, 1, *names, 0)
        made.tick()
        made.operator("aten::a", "K", us=1)
    lines = list_lines(read_times(tmp_path / "p").tree)
    assert len(lines) == 1_500 and lines[-1].module.self_ns == lines[0].module.total_ns == 1_000


def other_thread(made: Database) -> None:
    """Add a range of a second thread that begins inside Model and ends after it."""
    with made.range("Model"):
        with made.range("Layer"):
            made.operator("aten::linear", "MatMulV2", us=3)
        begin = made.tick()
        made.operator("aten::linear", "MatMulV2", us=5, tid=TID + 1)
    end = made.tick(5)
    names = made.name("Other"), TID + 1, TID + 1, made.name("Module")
    made.insert("MSTX_EVENTS", begin, end, 2, 1, 1, *names, 0)


def test_each_thread_has_its_own_modules(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made:
        other_thread(made)
    modules = {module.path: module for module in walk_modules(read_times(tmp_path / "p").tree)}
    assert {path: module.total_ns for path, module in modules.items()} == {
        "Model": 3_000,
        "Model/Layer": 3_000,
        "Other": 5_000,
    }


def test_siblings_that_touch_do_not_overlap(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made:
        made.operator("aten::a", "K", us=1)
        for begin, end, message in ((0, 90, "A"), (0, 30, "B"), (30, 60, "C"), (60, 90, "D")):
            names = made.name(message), TID, TID, made.name("Module")
            made.insert("MSTX_EVENTS", begin, end, 2, 1, 1, *names, 0)
    paths = [module.path for module in walk_modules(read_times(tmp_path / "p").tree)]
    assert paths == ["A", "A/B", "A/C", "A/D"]


def test_a_database_of_another_layout_says_what_is_missing(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made:
        made.connection.execute("ALTER TABLE MSTX_EVENTS DROP COLUMN eventType")
    assert "cannot be read: no such column: eventType" in read(tmp_path / "p").problem


def test_what_the_profiler_was_set_to_explains_what_is_missing(tmp_path: Path) -> None:
    for name, settings in (("off", {"mstx": False, "msprof_tx": False}), ("on", {"mstx": True})):
        with database(tmp_path / name, **settings) as made:
            made.operator("aten::linear", "MatMulV2")
    assert "without mstx (AUTOINSTR_PROFILER=mstx=on)" in read(tmp_path / "off").problem
    assert "nothing was called" in read(tmp_path / "on").problem
    for name, settings in (("cpu", {"activities": ["ProfilerActivity.CPU"]}), ("all", {})):
        with database(tmp_path / name, **settings) as made, made.range("A"):
            made.operator("aten::linear")
    assert "NPU was not among its activities" in read(tmp_path / "cpu").problem
    assert "the device recorded nothing" in read(tmp_path / "all").problem
