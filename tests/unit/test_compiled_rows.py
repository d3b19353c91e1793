"""Rows of ranges in compiled code: parts, shared kernels and the basis, from real recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autoinstr.analysis.stats import collect_stats
from autoinstr.analysis.stats_row import StatsRow
from autoinstr.analysis.tree import build_tree
from autoinstr.base.module_name import ModuleName
from autoinstr.device.device_times import KernelSum, RowTimes
from autoinstr.emitters.compiled_range import CompiledRange
from autoinstr.emitters.emitter import Emitter
from autoinstr.emitters.range_slot import NULL_SLOT
from autoinstr.emitters.recorder import Recorder
from autoinstr.emitters.tool_output import ToolOutput
from autoinstr.instrument.compiled.range_steps import make_emitted_steps
from autoinstr.recording.reader import RangeName, Recording
from autoinstr.recording.run import open_run
from autoinstr.recording.writer import RecordingWriter
from autoinstr.report.data.stats_json import build_row_entries
from autoinstr.report.page.report import build_payload

NET = ModuleName(1, "Net#1", "", "Net", 0)
BLOCK = ModuleName(2, "Net#1", "block", "Block", 1)
NORM = ModuleName(3, "Net#1", "norm", "LayerNorm", 1)
HEADER = {"host": "h", "roles": ["MainProcess"], "emitter": "recorder", "argv": [], "versions": {}}


def read_rows(file: Path, ranges: list[tuple[Any, int, int]]) -> dict[tuple[str, str], Any]:
    """Record the ranges in order of start; return the JSON rows by domain and title."""
    recorder = Recorder(lambda: RecordingWriter(str(file), HEADER, max_bytes=1 << 20), print)
    for name, start, end in ranges:
        number = (
            recorder.name_module(name)
            if isinstance(name, ModuleName)
            else recorder.name_compiled(name)
        )
        words, i, j, k = recorder.next_record()
        words[i], words[j], words[k] = number, start, end
    recorder.close()
    recording = Recording(str(file))
    stats = collect_stats(recording)
    assert not recording.problems
    return {
        (row["domain"], row["path"] or row["message"]): row
        for row in build_row_entries(0, recording, stats)
    }


def compiled(name: ModuleName, is_part: bool = False, is_backward: bool = False) -> CompiledRange:
    return CompiledRange((name,), (), is_part, is_backward)


def test_parts_continue_a_call_and_shared_kernels_are_named(tmp_path: Path) -> None:
    shared = CompiledRange((NORM, BLOCK), ("cpp_fused_add_1",), False, False)
    step = [
        (NET, 100, 200),
        (compiled(BLOCK), 110, 120),
        (shared, 120, 130),
        (compiled(BLOCK, is_part=True), 130, 150),
        (compiled(BLOCK, is_backward=True), 160, 170),
    ]
    later = [(name, start + 1000, end + 1000) for name, start, end in step]
    rows = read_rows(tmp_path / "a.airec", [*step, *later])
    net, block = rows["Module", "Net"], rows["Module", "block"]
    assert (net["calls"], net["total_ns"], net["basis"]) == (2, 200, {"eager": 2})
    # What is shared, and what is backward, is no time of the module's own calls.
    assert net["self_ns"] == 2 * (100 - 10 - 20)
    assert (block["calls"], block["total_ns"], block["basis"]) == (2, 60, {"compiled": 2})
    assert (block["min_ns"], block["max_ns"]) == (30, 30)  # of a call, not of its parts
    assert block["shared_kernels"] == ["cpp_fused_add_1"]
    norm = rows["Module", "norm"]
    assert (norm["calls"], norm["total_ns"], norm["basis"]) == (0, 0, {})
    assert norm["shared_kernels"] == ["cpp_fused_add_1"]
    kernel = rows["Module:shared", "norm:LayerNorm + block:Block"]
    assert (kernel["calls"], kernel["basis"]) == (2, {"shared": 2})
    assert rows["Module:backward", "block"]["calls"] == 2
    for row in rows.values():
        assert sum(row["basis"].values()) == row["calls"]


def test_eager_and_compiled_calls_of_a_module_are_one_row(tmp_path: Path) -> None:
    rows = read_rows(tmp_path / "a.airec", [(BLOCK, 1, 2), (compiled(BLOCK), 3, 5)])
    assert rows["Module", "block"]["basis"] == {"eager": 1, "compiled": 1}
    assert rows["Module", "block"]["total_ns"] == 3


def test_steps_reach_a_tool_and_end_with_the_call() -> None:
    events: list[str] = []

    def start(message: str, domain: str) -> str:
        events.append(f"{domain} {message}")
        return message

    def end(token: str, domain: str) -> None:
        events.append(f"/{token}")

    emitter = Emitter("tool", start, end, start, end, start, None, None, True, False, lambda: None)
    output = ToolOutput(emitter, lambda name: name.path, "Module", "off", False, print)
    shared = CompiledRange((BLOCK, NORM), ("k",), False, False)
    names = [output.name_compiled(one) for one in (compiled(BLOCK), shared)]
    move = make_emitted_steps([(0, (names[0],)), (0, (names[1],)), (1, ())], output, NULL_SLOT)
    for step in (0, 1, 2, -1):
        move(step)
    assert events == ["Module block", "Module block + norm", "/block + norm", "/block"]


def make_row(cls: str, durations: list[int], nested_ns: int, kernel_ns: int, all_ns: int) -> Any:
    """Return the row of one class of the root, with its own and all of its kernels."""
    row = StatsRow(1, RangeName(1, "range", "Module", "Net", "Net#1", "", cls))
    row.durations.extend(durations)
    row.add_durations()
    row.nested_ns = nested_ns
    row.first_call = 0, durations[0]
    row.basis = {"eager": len(durations)}
    row.device = RowTimes()
    row.device.by_basis["eager"] = KernelSum(1, kernel_ns)
    row.device.add_to_total("eager", 0, 0, 1, all_ns)
    return row


def test_the_wrapper_of_torch_compile_and_its_module_are_one_call() -> None:
    """Otherwise a model of four calls has eight, and twice its time."""
    wrapper = make_row("OptimizedModule", [900, 100, 110], 1080, 5, 700)
    module = make_row("Net", [890, 90, 100], 300, 95, 695)
    node = build_tree([wrapper, module]).get_child("Net", 1)
    assert (node.calls, node.total_ns, node.self_ns) == (3, 1110, 30 + 780)
    assert (node.first_call_ns, node.cls) == (900, "Net (compiled)")
    assert list(node.phases[None].durations) == [900, 100, 110]
    assert node.device is not None
    assert (node.device.total.ns, node.device.own.ns) == (700, 100)
    assert (wrapper.calls, wrapper.nested_ns, module.calls) == (3, 1080, 3)  # not changed


def test_a_compiled_module_that_is_also_called_directly_has_all_calls() -> None:
    wrapper = make_row("OptimizedModule", [100], 90, 5, 70)
    module = make_row("Net", [90, 95], 60, 95, 140)
    node = build_tree([wrapper, module]).get_child("Net", 1)
    assert (node.calls, node.total_ns, node.self_ns) == (2, 185 + 10, 125 + 10)
    assert node.device is not None
    assert (node.device.total.ns, node.device.own.ns) == (145, 100)


def test_the_page_says_what_was_compiled(tmp_path: Path) -> None:
    read_rows(tmp_path / "a.airec", [(NET, 100, 200), (compiled(BLOCK), 110, 120)])
    payload = build_payload(open_run(str(tmp_path)))
    assert payload["run"]["compiled"] == "1 module ran inside compiled code"
    (tmp_path / "b").mkdir()
    read_rows(tmp_path / "b" / "a.airec", [(NET, 100, 200)])
    assert build_payload(open_run(str(tmp_path / "b")))["run"]["compiled"] == ""
