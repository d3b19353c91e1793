"""Events of the emitter torch in a trace, which Kineto lists among the operators.

They count as annotations, whatever the clocks. No operator of the program is mistaken for one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoinstr.analysis.blocks import ignore_tick
from autoinstr.recording.run import open_run
from autoinstr.report.ascend_db import alignment
from autoinstr.report.ascend_db.alignment import Alignment
from autoinstr.report.ascend_db.export import ExportedProcess, export
from autoinstr.report.ascend_db.own_ranges import list_emitters
from tests.support.kineto import Trace
from tests.support.recordings import Call
from tests.unit.test_ascend_db import MODEL, US, record, tasks, texts

BOTH = {"emitter": "recorder,torch"}


def ours(
    trace: Trace, calls: list[Call], shift: int = 0, name: Any = lambda path, cls: cls
) -> Trace:
    """Return the trace with the emitter's events.

    Each begins 2 µs before its range and ends 1 µs after it. `shift` is the microseconds between
    the clocks.
    """
    for _, path, cls, start, end in calls:
        assert end is not None
        trace.operator(name(path, cls), (start - 2 + shift) * US, (end + 1 + shift) * US)
    return trace


def made(
    tmp_path: Path, calls: list[Call], trace: Trace, naming: str = "class", **header: Any
) -> ExportedProcess:
    run = record(tmp_path / "run", calls, **(header or BOTH))
    [one] = export(
        open_run(str(run)),
        [str(trace.write(tmp_path / "trace.json"))],
        str(tmp_path / "out"),
        naming,
        ignore_tick,
    )
    return one


def of_program(shift: int = 0) -> Trace:
    trace = Trace()
    trace.operator("aten::linear", (120 + shift) * US, (150 + shift) * US)
    trace.operator("aten::addmm", (122 + shift) * US, (148 + shift) * US)
    trace.operator("aten::linear", (162 + shift) * US, (190 + shift) * US)
    return trace


def own(one: ExportedProcess) -> int:
    assert one.traced is not None
    return one.traced.own_events


@pytest.mark.parametrize("shift", [0, -7, 7])
@pytest.mark.parametrize("naming", ["class", "path"])
@pytest.mark.parametrize(
    "name",
    [
        lambda path, cls: cls,
        lambda path, cls: path or cls,
        lambda path, cls: f"{path}:{cls}" if path else cls,
    ],
)
def test_they_are_annotations_and_neither_operators_nor_tasks(
    tmp_path: Path, shift: int, naming: str, name: Any
) -> None:
    one = made(tmp_path, MODEL, ours(of_program(shift), MODEL, shift, name), naming)
    assert own(one) == 3
    assert [task[0] for task in tasks(one)] == ["aten::linear", "aten::linear"]
    rows = texts(
        one,
        "SELECT name AS n_, connectionId IS NULL FROM PYTORCH_API "
        "ORDER BY CAST(startNs AS INTEGER)",
    )
    said = [name(path, cls) for _, path, cls, _, _ in MODEL]
    assert rows == [
        (said[0], 1),
        (said[1], 1),
        ("aten::linear", 0),
        ("aten::addmm", 1),
        (said[2], 1),
        ("aten::linear", 0),
    ]


@pytest.mark.parametrize("shift", [-12, -4, 4, 12])
def test_an_alignment_that_is_not_exact_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: int
) -> None:
    """Events may then begin after their ranges, or end before them."""
    monkeypatch.setattr(alignment, "measure", lambda *_: Alignment(0, 3, 100, 0, 0))
    calls: list[Call] = [
        (0, "", "Model", 100, 300),
        (0, "a", "Model", 115, 155),
        (0, "b", "Model", 165, 200),
    ]
    one = made(tmp_path, calls, ours(Trace(), calls, shift))
    assert one.traced is not None and (own(one), one.traced.links.tasks) == (3, 0)


def test_an_operator_of_the_program_that_has_a_modules_name_stays_one(tmp_path: Path) -> None:
    """One is inside the module: a custom autograd Function and a class that wraps it. One is around
    it.
    """
    calls: list[Call] = [
        (0, "", "Model", 100, 300),
        (0, "a", "Linear", 110, 155),
        (0, "b", "Linear", 170, 200),
    ]
    trace = ours(Trace(), calls)
    trace.operator("Linear", 112 * US, 153 * US)
    trace.operator("aten::mul", 120 * US, 150 * US)
    trace.operator("Linear", 160 * US, 210 * US)
    one = made(tmp_path, calls, trace)
    assert own(one) == 3
    assert [task[0] for task in tasks(one)] == [
        "Linear"
    ] * 3  # the one around, before and after its module
    assert texts(one, "SELECT endNs - startNs FROM TASK ORDER BY startNs")[0] == (41 * US,)
    assert texts(one, "SELECT COUNT(*) FROM PYTORCH_API WHERE connectionId IS NOT NULL") == [(2,)]


def test_an_autograd_function_is_none_of_ours_where_it_is_next_to_a_range(tmp_path: Path) -> None:
    trace = of_program()
    trace.operator("Linear", 112 * US, 153 * US, Sequence_number=3)
    one = made(tmp_path, MODEL, trace)
    assert own(one) == 0
    assert [(task[0], task[2]) for task in tasks(one)] == [("Linear", 112), ("aten::linear", 162)]


def test_without_the_emitter_nothing_is_taken_for_it(tmp_path: Path) -> None:
    one = made(tmp_path, MODEL, ours(of_program(), MODEL), emitter="recorder")
    assert own(one) == 0 and "Model" in [task[0] for task in tasks(one)]


@pytest.mark.parametrize(
    ("header", "emitters"),
    [
        ({"emitter": "recorder"}, {"recorder", ""}),
        ({"emitter": "recorder", "options": {"emitter": "recorder,torch"}}, {"recorder", "torch"}),
        ({"options": "damaged"}, {"recorder", ""}),
        ({"options": {"emitter": None}}, {"recorder", "None"}),
    ],
)
def test_which_emitters_a_recording_names(
    tmp_path: Path, header: dict[str, Any], emitters: set[str]
) -> None:
    [recording] = open_run(str(record(tmp_path / "run", MODEL, **header))).recordings
    assert list_emitters(recording) == emitters


def test_what_runs_when_the_profile_ends_is_cut_there_and_spoils_no_alignment(
    tmp_path: Path,
) -> None:
    """Kineto gives such an event the profile's end. It must not count as an overlap."""
    calls: list[Call] = [
        (0, "", "Model", 100, 900),
        (0, "a", "Layer", 110, 800),
        (0, "a.b", "Linear", 120, 700),
    ]
    trace = Trace()
    for (_, _, cls, start, _), args in zip(calls, ({"finished": False},) * 3):
        trace.operator(cls, (start - 2) * US, 300 * US, **args)
    trace.operator("aten::linear", 130 * US, 150 * US)
    trace.add("Trace", "PyTorch Profiler (0)", 90 * US, 310 * US, "Spans", "PyTorch Profiler")
    one = made(tmp_path, calls, trace)
    assert own(one) == 3
    assert [task[0] for task in tasks(one)] == ["aten::linear"]


def test_what_our_range_is_said_to_have_launched_the_operator_around_it_did(tmp_path: Path) -> None:
    """torch.utils.checkpoint calls modules; one launches a kernel without its own operator."""
    trace = Trace()
    outer = trace.operator("CheckpointFunction", 102 * US, 298 * US)
    ours(trace, MODEL)
    inner = trace._ids
    trace.kernel("mine", trace.launch(inner, 170 * US), 500 * US, 4_000)
    trace.kernel("later", trace.launch(outer, 250 * US), 600 * US, 4_000)
    trace.kernel("lonely", trace.launch(outer + 1, 299 * US), 700 * US, 4_000)
    one = made(tmp_path, MODEL, trace)
    query = """SELECT i.name AS k_, a.name AS o_ FROM TASK t
        JOIN COMPUTE_TASK_INFO i USING (globalTaskId)
        LEFT JOIN CONNECTION_IDS c ON c.connectionId = t.connectionId
        LEFT JOIN PYTORCH_API a ON a.connectionId = c.id ORDER BY t.startNs"""
    assert own(one) == 3
    assert texts(one, query) == [
        ("mine", "CheckpointFunction"),
        ("later", "CheckpointFunction"),
        ("lonely", None),
    ]
