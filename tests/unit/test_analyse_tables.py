"""Test the tables, CSV and comparisons of `autoinstr analyse`, on rows like msprof-analyze's."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from autoinstr.device.ascend.analysis import FolderAnalysis, ProfileResult
from autoinstr.device.ascend.database import DatabaseFacts, KernelTotals
from autoinstr.device.ascend.module_times import ModuleTimes
from autoinstr.device.ascend.modules import DeviceModule, Operator, sum_totals
from autoinstr.device.ascend.profiles import Profile
from autoinstr.device.bases import BASES
from autoinstr.report.ascend_modules import compare_data, compare_table, data, module_pairs, tables
from autoinstr.report.options import TableOptions

PATHS = (("Net", 2), ("Net/Block", 4), ("Net/Block/Linear", 8), ("Net/Head", 2))
ROWS = (
    ("Net/Block/Linear", Operator("aten::linear", ("MatMul", "Add"), 8_000, 8)),
    ("Net/Block", Operator("aten::gelu", ("Gelu",), 4_000, 4)),
    ("Net/Head", Operator("aten::linear", ("MatMul",), 2_000, 2)),
)


def result(
    label: str = "rank 0",
    rank: int = 0,
    scale: int = 1,
    rows: tuple[tuple[str, Operator], ...] = ROWS,
    paths: tuple[tuple[str, int], ...] = PATHS,
) -> ProfileResult:
    root = DeviceModule("", "")
    modules = {}
    for path, calls in paths:
        module = root
        for name in path.split("/"):
            module = module.get_child(name)
        module.calls, module.host_ns = calls, calls * 1000
        modules[path] = module
    for path, row in rows:
        module = modules.get(path) or root.get_child(path)
        module.add_operator(row._replace(total_ns=row.total_ns * scale))
    sum_totals(root)
    by_basis = dict.fromkeys(BASES, KernelTotals())
    by_basis["eager"] = KernelTotals(22, 14_000 * scale)
    by_basis["outside"] = KernelTotals(1, 1_000 * scale)
    by_basis["unknown"] = KernelTotals(1, 1_000 * scale)
    times = ModuleTimes(
        root, KernelTotals(24, 16_000 * scale), KernelTotals(23, 15_000 * scale), by_basis, {}
    )
    facts = DatabaseFacts(frozenset(), {"Module": {2: 16}}, 0, 14, 0, 1)
    profile = Profile(f"/data/{label}", f"/data/{label}/x.db", rank, False, True)
    return ProfileResult(profile, label, f"host_{rank}_ascend_pt", facts, times)


def analysis(*results: ProfileResult) -> FolderAnalysis:
    return FolderAnalysis("/data", list(results or [result()]), [], [])


def lines(one: FolderAnalysis, **look: object) -> list[str]:
    options = TableOptions(**{"width": 200, **look})  # type: ignore[arg-type]
    return list(tables.format_analysis(one, options))


def test_what_is_in_no_module_stands_below() -> None:
    shown = lines(analysis())
    assert shown[-2].split() == ["(outside", "modules)", "1.000", "µs", "6.2%", "1"]
    assert shown[-1].split() == ["(unknown)", "1.000", "µs", "6.2%", "1"]


def test_shares_are_of_all_kernels() -> None:
    [net] = [line.split() for line in lines(analysis()) if line.startswith("Net")]
    assert net[1:] == ["14.00", "µs", "87.5%", "22", "2", "7.000", "µs", "0", "ns"]


def test_a_flat_list_names_whole_paths() -> None:
    shown = lines(analysis(), sort="self", limit=2)
    assert [line.split()[0] for line in shown[4:6]] == [
        "Net/Block/Linear",
        "Net/Block",
    ] and "… 2 more lines" in shown[-1]


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (200, "device share kernels calls mean self"),
        (72, "device share kernels calls mean"),
        (40, "device"),
    ],
)
def test_a_narrow_terminal_goes_without_columns(width: int, headings: str) -> None:
    long = result(paths=(("Net" * 12, 1), *PATHS))
    shown = lines(analysis(long), width=width)
    assert shown[3].split() == ["module", *headings.split()]
    assert width == 40 or all(len(line) <= width for line in shown[3:-3])


def test_operators_are_listed_with_their_kernels() -> None:
    shown = lines(analysis(), table="operators", sort="device", limit=2)
    assert shown[4].split() == [
        "Net/Block/Linear",
        "8.000",
        "µs",
        "50.0%",
        "8",
        "1.000",
        "µs",
        "aten::linear",
        "MatMul,",
        "Add",
    ]
    assert shown[-1] == "… 1 more line (--limit 0 shows all)"


def test_two_ranks_stand_side_by_side() -> None:
    shown = lines(analysis(result(), result("rank 1", 1, scale=3)))
    [head] = [line.split() for line in shown if line.strip().startswith("Head")]
    assert head[1:] == ["8.000", "µs", "12.5%", "4", "2.000", "µs", "6.000", "µs", "3.00"]
    [rest] = [line.split() for line in shown if line.startswith("(outside")]
    assert rest[2:] == ["4.000", "µs", "6.2%", "1.000", "µs", "3.000", "µs"]


def test_what_is_true_of_all_is_said_once() -> None:
    both, one = "a remark of both", "a remark of one"
    first, second = (
        result()._replace(remarks=(both, one)),
        result("rank 1", 1)._replace(remarks=(both,)),
    )
    assert lines(analysis(first, second))[-2:] == [f"! {both}", f"! rank 0: {one}"]


def test_csv_has_a_line_for_each_module_or_operator() -> None:
    out = io.StringIO()
    data.write_csv(analysis(), out, "modules")
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert [(row["path"], row["calls"], row["device_ns"], row["host_ns"]) for row in rows] == [
        ("Net", "2", "14000", "2000"),
        ("Net/Block", "4", "12000", "4000"),
        ("Net/Block/Linear", "8", "8000", "8000"),
        ("Net/Head", "2", "2000", "2000"),
    ]
    out = io.StringIO()
    data.write_csv(analysis(), out, "operators")
    operators = list(csv.DictReader(io.StringIO(out.getvalue())))
    second = [operators[1][column] for column in ("path", "kernels", "count", "mean_ns")]
    assert second == ["Net/Block/Linear", "MatMul, Add", "8", "1000.0"]


def test_a_comparison_as_csv_and_by_difference() -> None:
    a = module_pairs.build_side(analysis())
    b = module_pairs.build_side(
        analysis(
            result(
                scale=2,
                rows=(*ROWS[:2], ("Net/Tail", Operator("aten::mul", ("Mul",), 1_000, 1))),
                paths=(*PATHS[:3], ("Net/Tail", 1)),
            )
        )
    )
    out = io.StringIO()
    compare_data.write_csv(a, b, out)
    rows = {row["path"]: row for row in csv.DictReader(io.StringIO(out.getvalue()))}
    assert rows["Net/Block"]["difference_ns"] == "12000" and rows["Net/Block"]["ratio"] == "2.0"
    assert rows["Net/Tail"]["only_in"] == "b" and rows["Net/Tail"]["device_ns_a"] == ""
    shown = list(compare_table.format_comparison(a, b, TableOptions(200, 2, "difference")))
    assert [line.split()[0] for line in shown[4:6]] == ["Net", "Net/Block"]
    assert (
        any(line.startswith("… 3 more lines") for line in shown)
        and "! only in B: 1 module: Net/Tail" in shown
    )


def test_columns_of_the_two_sides_go_together() -> None:
    a, b = module_pairs.build_side(analysis()), module_pairs.build_side(analysis(result(scale=2)))
    shown = list(compare_table.format_comparison(a, b, TableOptions(88, 0, "tree")))
    assert shown[3].split() == [
        "module",
        "device",
        "A",
        "device",
        "B",
        "B",
        "-",
        "A",
        "change",
        "calls",
        "A",
        "calls",
        "B",
    ]


def test_a_comparison_keeps_the_heaviest_with_the_lines_above() -> None:
    a, b = module_pairs.build_side(analysis()), module_pairs.build_side(analysis(result(scale=2)))
    shown = list(compare_table.format_comparison(a, b, TableOptions(200, 3, "tree")))
    assert [line.split()[0] for line in shown[4:8]] == ["Net", "Block", "Linear", "(all"]


def test_names_are_printable_and_formulas_are_text(tmp_path: Path) -> None:
    odd = result(
        paths=(("=Net\x1b[31m", 1),),
        rows=(("=Net\x1b[31m", Operator("aten::mul", ("Mul",), 5, 1)),),
    )
    assert any("=Net\\x1b[31m" in line for line in lines(analysis(odd)))
    out = io.StringIO()
    data.write_csv(analysis(odd), out, "modules")
    assert next(csv.DictReader(io.StringIO(out.getvalue())))["path"].startswith("'=Net")
