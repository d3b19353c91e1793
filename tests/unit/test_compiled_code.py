"""Ranges in compiled code without torch: the plan, the new code object, and its steps.

The functions have the form of those that torch._inductor generates."""

from __future__ import annotations

import ast
import sys
import textwrap
import traceback
from types import FunctionType
from typing import Any, Callable

import pytest

from autoinstr.instrument.compiled import bindings, known_texts, range_plan, weaving
from autoinstr.instrument.compiled.call_sites import ModuleCall, NodeOrigin
from autoinstr.instrument.compiled.range_plan import RangePlan, TableRow

BLOCK, UP, DOWN = "L['self'].block", "L['self'].block.up", "L['self'].block.down"
NORM = "L['self'].norm"

SOURCE = textwrap.dedent(
    """
    def call(args):
        x, = args
        args.clear()
        x = kernel(x, "up")
        x = kernel(x, "up 2")
        x = kernel(x, "shared")
        if x > 3:
            x = kernel(x, "down")
        else:
            x = kernel(x, "else")
        for _ in range(2):
            x = kernel(x, "loop")
        x = kernel(x, "up again")
        return (x,)
    """
)


def site(*sources: str) -> tuple[ModuleCall, ...]:
    return tuple(ModuleCall(source, source.rpartition(".")[2].title(), 0) for source in sources)


def row(line: int, kernel: str, *sites: Any) -> TableRow:
    origins = (NodeOrigin(None, one, False) for one in sites)
    return TableRow(line, kernel, tuple(origins))


ROWS = [
    row(5, "k_up", site(BLOCK, UP)),
    row(6, "k_up2", site(BLOCK, UP)),
    row(7, "k_shared", site(BLOCK, DOWN), site(NORM)),
    row(9, "k_down", site(BLOCK, DOWN)),
    row(11, "k_else", site(BLOCK, DOWN)),
    row(13, "k_loop", site(NORM)),
    row(14, "k_again", site(BLOCK, UP)),
]


def make_plan(rows: list[TableRow] = ROWS, **more: Any) -> RangePlan:
    function = range_plan.find_functions(ast.parse(SOURCE))["call"]
    return RangePlan(rows, range_plan.find_blocks(function), **more)


def describe(plan: RangePlan) -> list[str]:
    return [
        " + ".join(one[-1].cls for one in planned.members)
        if planned.members
        else planned.site[-1].cls + "…" * planned.is_part
        for planned in plan.ranges
    ]


def run_woven(plan: RangePlan, kernel: Callable[..., Any], value: int = 1) -> list[str]:
    """Run the woven function; return what its steps and its kernels did, in order."""
    events: list[str] = []
    names = describe(plan)
    running: list[str] = []

    def enter() -> Callable[[int], object]:
        def move(number: int) -> None:
            ends, begins = (len(running), ()) if number < 0 else plan.steps[number]
            for _ in range(ends):
                events.append("/" + running.pop())
            for index in begins:
                running.append(names[index])
                events.append(names[index])

        return move

    def noting(value: Any, name: str) -> Any:
        events.append(f"- {name}")
        return kernel(value)

    code = weaving.weave(SOURCE, "generated.py", {"call": plan}, {"call": enter})["call"]
    result = FunctionType(code, {"kernel": noting})([value])
    assert result == FunctionType(native_code(), {"kernel": lambda x, _: kernel(x)})([value])
    assert not running
    return events


def native_code() -> Any:
    namespace: dict[str, Any] = {}
    exec(compile(SOURCE, "generated.py", "exec"), namespace)
    return namespace["call"].__code__


def test_ranges_begin_and_end_between_the_kernels() -> None:
    plan = make_plan()
    assert " ".join(describe(plan)) == ("Block Up Down + Norm Block… Down Block… Down Block… Up…")
    assert run_woven(plan, lambda x: x + 1, value=5) == [
        "Block", "Up", "- up", "- up 2", "/Up", "/Block",
        "Down + Norm", "- shared", "/Down + Norm",
        "Block…", "Down", "- down", "/Down", "/Block…",
        "- loop", "- loop",
        "Block…", "Up…", "- up again", "/Up…", "/Block…",
    ]  # fmt: skip
    # The other branch has ranges of its own, and none is left open.
    other = run_woven(plan, lambda x: x, value=0)
    assert other[9:14] == ["Block…", "Down", "- else", "/Down", "/Block…"]


def test_a_kernel_whose_modules_are_unknown_belongs_to_what_is_open() -> None:
    rows = [row(5, "k", site(BLOCK)), row(6, "k", None), row(7, "k", site(BLOCK))]
    plan = make_plan(rows)
    assert (describe(plan), plan.unknown_rows) == (["Block"], 1)


def test_a_statement_without_a_node_belongs_to_what_its_neighbors_share() -> None:
    """Not to the module before it: vllm-ascend's attention would count as rotary embedding."""
    plan = make_plan([row(5, "k", site(BLOCK, UP)), row(6, "?"), row(7, "k", site(BLOCK, DOWN))])
    assert (describe(plan), plan.unknown_rows) == (["Block", "Up", "Down"], 1)
    events = run_woven(plan, lambda x: x)
    assert events[:7] == ["Block", "Up", "- up", "/Up", "- up 2", "Down", "- shared"]
    last = make_plan([row(5, "k", site(BLOCK, UP)), row(6, "?")])
    assert run_woven(last, lambda x: x)[:5] == ["Block", "Up", "- up", "/Up", "/Block"]


def test_consecutive_shared_kernels_are_one_range_that_names_all_of_them() -> None:
    shared = (site(BLOCK, UP), site(BLOCK, DOWN))
    plan = make_plan([row(5, "k_1", *shared), row(6, "k_2", *shared)])
    assert describe(plan) == ["Block", "Up + Down"]
    assert plan.ranges[1].kernels == ("k_1", "k_2")


def test_views_do_not_make_a_kernel_shared() -> None:
    origins = (NodeOrigin(None, site(NORM), True), NodeOrigin(None, site(BLOCK), False))
    assert describe(make_plan([TableRow(5, "k", origins)])) == ["Block"]


def test_the_sites_of_another_graph_give_other_names_to_the_same_places() -> None:
    rows = [TableRow(5, "k", (NodeOrigin(0, site(BLOCK, UP), False),))]
    plan = make_plan(rows)
    other = make_plan(rows, sites=[site("L['self'].other", "L['self'].other.up")])
    assert describe(other) == ["Other", "Up"]
    assert other.has_shape_of(plan)
    assert not make_plan(rows, sites=[site(NORM)]).has_shape_of(plan)
    assert describe(make_plan(rows, started=[site(BLOCK)])) == ["Block…", "Up"]


def test_an_exception_ends_all_ranges_and_keeps_its_traceback() -> None:
    def fail(value: Any) -> Any:
        raise ValueError("kernel failed")

    lines = []
    for code in (native_code(), None):
        with pytest.raises(ValueError) as error:
            if code is None:
                run_woven(make_plan(), fail)
            else:
                FunctionType(code, {"kernel": lambda x, _: fail(x)})([1])
        frames = traceback.extract_tb(error.tb)
        lines.append([frame.lineno for frame in frames if frame.filename == "generated.py"])
    assert lines[0] == lines[1] == [5]


def test_every_line_of_the_new_code_is_a_line_of_the_file() -> None:
    code = weaving.weave(SOURCE, "generated.py", {"call": make_plan()}, {"call": lambda: None})
    lines = (
        {line for _, _, line in code["call"].co_lines() if line}
        if sys.version_info
        >= (
            3,
            10,
        )
        else {5}
    )
    assert lines <= set(range(1, 1 + len(SOURCE.splitlines())))
    assert code["call"].co_filename == "generated.py"
    # No name is added to the globals of the generated module.
    assert set(code["call"].co_names) <= {*native_code().co_names, "RecursionError", "get"}


def test_no_stack_left_for_a_step_means_no_ranges_and_no_error() -> None:
    def enter() -> Any:
        raise RecursionError

    code = weaving.weave(SOURCE, "generated.py", {"call": make_plan()}, {"call": enter})["call"]
    assert FunctionType(code, {"kernel": lambda x, _: x})([2]) == (2,)


def test_a_line_without_a_statement_is_an_error() -> None:
    with pytest.raises(ValueError, match="99"):
        weaving.weave(
            SOURCE, "x", {"call": make_plan([row(99, "k", site(NORM))])}, {"call": lambda: None}
        )


def test_sources_lead_to_modules() -> None:
    class Module:
        def __init__(self, **modules: Any) -> None:
            self._modules = modules

    leaf = Module()
    self = Module(layers=Module(**{"0": Module(up=leaf)}))
    self.table = {"a": [leaf]}  # type: ignore[attr-defined]
    frame = sys._getframe()
    for text in (
        "L['self'].layers.0.up",
        "L['self'].layers['0'].up",
        'L["self"].table["a"][0]',
    ):
        source = bindings.parse_source(text)
        assert source is not None
        value = bindings.read_variable(frame, source)
        assert bindings.follow_tokens(value, source.tokens) is leaf, text
    assert bindings.parse_source("not a source") is None
    absent = bindings.parse_source("L['nothing'].layers")
    assert absent is not None and bindings.read_variable(frame, absent) is bindings.ABSENT
    graph = bindings.GraphSources([site("L['self'].layers")])
    assert graph.resolve(frame) is None  # the class has another name
    graph = bindings.GraphSources([(ModuleCall("L['self'].layers", "Module", 0),)])
    assert graph.resolve(frame) == {"L['self'].layers": self._modules["layers"], "L['self']": self}


def test_texts_of_functions_are_found() -> None:
    source = (
        "x = 1\n\nclass A(B):\n    def f(self):\n        return 1\n\n    def g(self): ...\n\n"
        "def f(\n    a,\n) -> int:\n    return a\n\ny = 2\n"
    )
    assert known_texts.find_text(source, "A", "f") == "    def f(self):\n        return 1"
    assert known_texts.find_text(source, "", "f") == "def f(\n    a,\n) -> int:\n    return a"
    assert known_texts.find_text(source, "A", "h") is None
    assert known_texts.find_text(source, "C", "f") is None
