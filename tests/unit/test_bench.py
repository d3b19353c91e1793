"""Test the arithmetic, the table and the pictures of the benchmark, on invented figures."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from benchmarks import chart, contenders, instructions, table
from benchmarks.contenders import BASE, FLOOR, OURS, PEER, Contender
from benchmarks.figures import Figure, Turn, compute_rows

GROUP = [
    Contender("nothing", BASE),
    Contender("floor", FLOOR),
    Contender("half", PEER, writes_all=False),
    Contender("cheap", PEER),
    Contender("dear", PEER),
    Contender("ours", OURS),
    Contender("absent", PEER),
]


def figure(*processes: list[tuple[float, float]]) -> Figure:
    made = Figure()
    for turns in processes:
        made.add_process([Turn(*turn) for turn in turns], 241)
    return made


@pytest.fixture
def figures() -> dict[str, Figure]:
    ns = {
        "nothing": 1000.0,
        "floor": 200.0,
        "half": 1100.0,
        "cheap": 1500.0,
        "dear": 3000.0,
        "ours": 950.0,
    }
    return {
        **{name: figure([(value, value + 5)]) for name, value in ns.items()},
        "absent": Figure(),
    }


def test_a_figure_is_of_all_its_processes() -> None:
    made = figure([(10, 20), (12, 30)], [(14, 16), (13, 40)])
    assert (made.min, made.median, made.spread) == (10, 25, 3)


def test_ratios_are_of_what_comes_on_top(figures: dict[str, Figure]) -> None:
    found = compute_rows(GROUP, figures)
    assert {name: row.extra for name, row in found.items()} == {
        "nothing": 0, "floor": 200, "half": 100, "cheap": 500, "dear": 2000, "ours": -50,
    }  # fmt: skip
    assert {name: row.floors for name, row in found.items()} == {
        "nothing": None, "floor": 1, "half": 0.5, "cheap": 2.5, "dear": 10, "ours": -0.25,
    }  # fmt: skip
    # The best peer is the cheapest of those that write a range for each call.
    assert {name: row.peers for name, row in found.items()} == {
        "nothing": None, "floor": None, "half": 0.2, "cheap": 1, "dear": 4, "ours": -0.1,
    }  # fmt: skip


def test_another_works_floor_can_be_used_and_none_need_be_there(figures: dict[str, Figure]) -> None:
    del figures["floor"]
    assert compute_rows(GROUP, figures)["cheap"].floors is None
    assert compute_rows(GROUP, figures, 100)["cheap"].floors == 5
    for name in ("cheap", "dear"):
        del figures[name]
    assert compute_rows(GROUP, figures)["ours"].peers is None
    del figures["nothing"]
    assert compute_rows(GROUP, figures) == {}


def test_the_table_has_a_line_for_each_and_says_who_is_missing() -> None:
    names = [one.name for one in contenders.CPU[:3]]
    row = {
        "min": 1234.4,
        "median": 2.0,
        "spread": 1.0,
        "extra": -12.0,
        "floors": 0.25,
        "peers": None,
    }
    result: dict[str, Any] = {
        "rows": {"leaf": dict.fromkeys(names, row)},
        "startup": {"pass": {"nothing": (9.0, 9.0, 9.0), "ddtrace": (371.06, 380.0, 300.0)}},
        "weight": {names[2]: {"anon": 100.0, "file": 0.0, "disk": 24.2}},
        "cannot": {"viztracer": "no wheel"},
    }
    lines = table.format_lines(result)
    assert [line.split()[0] for line in lines[2:6]] == ["nothing", "floor:", "the", "ddtrace"]
    assert lines[2].split()[1:] == ["1,234", "2", "1", "−12", "+0.25"]
    assert lines[4].split()[-3:] == ["100", "0", "24"]
    assert lines[5].split() == ["ddtrace", "+371.1"]
    assert lines[-2] == "start-up alone: pass 9 ms"
    assert lines[-1] == "not run: viztracer: no wheel"
    assert "in vLLM's loop" not in lines[0], "nothing was measured there"


def test_pictures_are_xml_whose_bars_grow_with_their_values() -> None:
    picture = chart.draw_bars(
        "a < b",
        "note",
        [
            chart.Bar("free & ours", -3, "−3 ns", True),
            chart.Bar("x", 100, "", False),
            chart.Bar("y", 10_000, "", False),
        ],
        10,
    )
    root = ElementTree.fromstring(picture)
    widths = [float(one.get("width", "")) for one in root.iter("{http://www.w3.org/2000/svg}rect")][
        1:
    ]
    assert widths[0] == 2 and widths[2] == pytest.approx(3 * widths[1])
    assert "var(--free)" in picture
    panel = chart.Panel(
        "modules", "ns", (10, 100, 1000), {"one": (1.0, 2.0, 3.0), "two": (0.0, -1.0, 1.0)}
    )
    root = ElementTree.fromstring(chart.draw_panels("title", [panel] * 4))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 8


def test_more_instructions_than_committed_fail_and_fewer_ask_to_be_committed() -> None:
    counts = {"same": 1049, "worse": 1051, "better": 949, "new": 5}
    lines, worse = instructions.compare_counts(
        counts, {"same": 1000, "worse": 1000, "better": 1000}
    )
    assert worse
    assert next(line for line in lines if "worse" in line.split()[-1:]).startswith("worse")
    assert "commits it" in next(line for line in lines if line.startswith("better"))
    assert next(line for line in lines if line.startswith("new")).split() == ["new", "5"]
    assert not instructions.compare_counts({"same": 1049}, {"same": 1000})[1]


def test_every_rival_and_work_of_the_table_is_there() -> None:
    from benchmarks import floors, rivals, work

    for one in (one for group in contenders.GROUPS.values() for one in group):
        assert not one.rival or one.rival in rivals.RIVALS or one.rival in floors.FLOORS, one
        assert set(one.works) <= set(work.WORKS), one
        assert (one.options is not None) == (one.kind == OURS), one
