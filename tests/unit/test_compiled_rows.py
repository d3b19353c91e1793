"""Rows of ranges in compiled code: parts, shared kernels and the basis, from real recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autoinstr.analysis.stats import collect_stats
from autoinstr.base.module_name import ModuleName
from autoinstr.emitters.compiled_range import CompiledRange
from autoinstr.emitters.emitter import Emitter
from autoinstr.emitters.range_slot import NULL_SLOT
from autoinstr.emitters.recorder import Recorder
from autoinstr.emitters.tool_output import ToolOutput
from autoinstr.instrument.compiled.range_steps import make_emitted_steps
from autoinstr.recording.reader import Recording
from autoinstr.recording.writer import RecordingWriter
from autoinstr.report.data.stats_json import build_row_entries

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
