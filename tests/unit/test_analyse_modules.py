"""Test the module tree of `autoinstr analyse`: the nesting of ranges, and the place of each row."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from autoinstr.device.ascend.database import (
    DatabaseFacts,
    ModuleRanges,
    connect,
    read_facts,
    read_ranges,
)
from autoinstr.device.ascend.missing_reasons import explain_missing_table, list_remarks
from autoinstr.device.ascend.module_statistic import Operator
from autoinstr.device.ascend.modules import (
    build_module_tree,
    list_lines,
    select_lines,
    walk_modules,
)
from tests.support.ascend_db import TID, Database, database, model


def no_tick(count: int) -> None:
    pass


def read(folder: Path) -> tuple[DatabaseFacts, ModuleRanges]:
    connection = connect(str(next(folder.rglob("*.db"))))
    try:
        return read_facts(connection), read_ranges(connection, no_tick)
    finally:
        connection.close()


def row(parent: str, module: str, ns: int = 1000, times: int = 1, kernels: str = "K") -> Operator:
    return Operator(parent, module, "aten::op", kernels, ns, times)


def test_calls_and_nesting_are_those_of_the_ranges(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made:
        model(made, layers=3)
        model(made, layers=3)
    facts, ranges = read(tmp_path)
    calls = {"/".join(path): called.calls for path, called in ranges.paths.items()}
    assert calls == {
        "Model": 2,
        "Model/Embedding": 2,
        "Model/Layer": 6,
        "Model/Layer/Attention": 6,
        "Model/Layer/Attention/Linear": 6,
        "Model/Layer/MLP": 6,
        "Model/Layer/MLP/Linear": 6,
    }
    assert (ranges.max_depth, ranges.too_deep, ranges.overlapping) == (4, 0, 0)
    assert facts.kernels == facts.linked and facts.kernels.number == 2 * (1 + 3 * 4 + 1)


def test_figures_of_a_module_include_what_is_below(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made, made.range("A"), made.range("B"):
        pass
    _, ranges = read(tmp_path)
    tree = build_module_tree(ranges, [row("", "A", 5), row("A", "B", 7, times=2, kernels="K, L")])
    a, b = walk_modules(tree)
    assert (a.total_ns, a.self_ns, a.kernels, a.self_kernels, a.calls, a.mean_ns) == (
        12,
        5,
        5,
        1,
        1,
        12,
    )
    assert (b.total_ns, b.kernels, b.depth, b.path) == (7, 4, 1, "A/B")


def test_variants_count_for_their_module_and_are_lines_below_it(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made, made.range("A"):
        for _ in range(4):
            with made.range("B"):
                pass
    _, ranges = read(tmp_path)
    tree = build_module_tree(ranges, [row("A", "B", 5), row("A", "B_0", 7), row("A", "B_1", 9)])
    assert [
        (line.depth, line.label, line.module.total_ns, line.module.calls)
        for line in list_lines(tree)
    ] == [
        (0, "A", 21, 1),
        (1, "B", 21, 4),
        (2, "B_0", 7, None),
        (2, "B_1", 9, None),
    ]


def test_a_class_whose_name_ends_in_a_number_is_no_variant(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made, made.range("Stage"), made.range("Stage_1"):
        pass
    _, ranges = read(tmp_path)
    tree = build_module_tree(ranges, [row("Stage", "Stage_1", 5)])
    assert [line.label for line in list_lines(tree)] == ["Stage", "Stage_1"] and not tree.children[
        "Stage"
    ].variants


def test_nor_is_one_beside_a_class_of_the_same_name_without_it(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made, made.range("Net"):
        for name in ("Stage", "Stage_1"):
            with made.range(name):
                pass
    _, ranges = read(tmp_path)
    tree = build_module_tree(
        ranges, [row("Net", "Stage", 5), row("Net", "Stage_1", 7), row("Net", "Stage_2", 9)]
    )
    assert [(line.label, line.module.total_ns) for line in list_lines(tree)] == [
        ("Net", 21),
        ("Stage", 14),
        ("Stage_2", 9),
        ("Stage_1", 7),
    ]


def test_backward_modules_stand_beside_the_forward_ones(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made, made.range("Net"), made.range("Linear"):
        pass
    _, ranges = read(tmp_path)
    tree = build_module_tree(
        ranges,
        [
            row("Net", "Linear", 5),
            row("Net", "[Backward]Linear_0", 7),
            row("Net", "[Backward]Linear_1", 9),
        ],
    )
    assert [(line.depth, line.label, line.module.total_ns) for line in list_lines(tree)] == [
        (0, "Net", 21),
        (1, "Linear", 5),
        (1, "[Backward]Linear", 16),
        (2, "[Backward]Linear_0", 7),
        (2, "[Backward]Linear_1", 9),
    ]


def test_messages_with_slashes_stay_whole(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made, made.range("a/b"), made.range("c"):
        pass
    _, ranges = read(tmp_path)
    tree = build_module_tree(ranges, [row("a/b", "c", 5), row("", "a/b", 3)])
    assert [(line.label, line.module.total_ns) for line in list_lines(tree)] == [
        ("a/b", 8),
        ("c", 5),
    ]


def test_the_heaviest_lines_are_chosen_with_those_above(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made, made.range("A"):
        for name in ("B", "C"):
            with made.range(name), made.range("D"):
                pass
    _, ranges = read(tmp_path)
    tree = build_module_tree(ranges, [row("A/B", "D", 5), row("A/C", "D", 7)])
    shown, hidden = select_lines(list_lines(tree), 3, "tree")
    assert [line.module.path for line in shown] == ["A", "A/C", "A/C/D"] and len(hidden) == 2
    assert [line.label for line in select_lines(list_lines(tree), 2, "self")[0]] == [
        "A/C/D",
        "A/B/D",
    ]


def overlapping(made: Database) -> None:
    """Add a range of a second thread that begins inside Model and ends after it."""
    with made.range("Model"):
        with made.range("Layer"):
            made.operator("aten::linear", "MatMulV2")
        begin = made.tick()
    end = made.tick(5)
    made.insert(
        "MSTX_EVENTS",
        begin,
        end,
        2,
        1,
        1,
        made.name("Other"),
        TID + 1,
        TID + 1,
        made.name("Module"),
        0,
    )


def test_overlapping_ranges_are_seen(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made:
        overlapping(made)
    facts, ranges = read(tmp_path)
    assert ranges.overlapping == 1 and facts.thread_count == 2
    [said] = list_remarks(facts, ranges)
    assert "1 range of Module overlap without nesting (made by 2 threads)" in said


def test_siblings_that_touch_do_not_overlap(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made:
        for begin, end, message in ((0, 90, "A"), (0, 30, "B"), (30, 60, "C"), (60, 90, "D")):
            made.insert(
                "MSTX_EVENTS",
                begin,
                end,
                2,
                1,
                1,
                made.name(message),
                TID,
                TID,
                made.name("Module"),
                0,
            )
    _, ranges = read(tmp_path)
    assert ranges.overlapping == 0 and list(ranges.paths) == [
        ("A",),
        ("A", "B"),
        ("A", "C"),
        ("A", "D"),
    ]


def test_a_database_of_another_layout_is_an_error_of_sqlite_alone(tmp_path: Path) -> None:
    with database(tmp_path / "p") as made:
        made.connection.execute("ALTER TABLE MSTX_EVENTS DROP COLUMN eventType")
    try:
        read(tmp_path)
    except sqlite3.OperationalError as error:
        assert "eventType" in str(error)
    else:
        raise AssertionError("it was read")


def test_what_the_profiler_was_set_to_explains_what_is_missing(tmp_path: Path) -> None:
    with database(tmp_path / "p"):
        pass
    facts, _ = read(tmp_path)
    assert "without mstx (AUTOINSTR_PROFILER=mstx=on)" in explain_missing_table(
        facts, {"mstx": False, "msprof_tx": False}
    )
    assert "nothing was called" in explain_missing_table(facts, {"mstx": True})
    with database(tmp_path / "q") as made, made.range("A"):
        made.operator("aten::linear")
    facts, _ = read(tmp_path / "q")
    assert "NPU was not among its activities" in explain_missing_table(
        facts, {"activities": ["ProfilerActivity.CPU"]}
    )
    assert "the device recorded nothing" in explain_missing_table(facts, {})
