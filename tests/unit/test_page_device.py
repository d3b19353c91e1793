"""What a page has beside the ranges: kernels of a joined profile, the steps of requests, and what
is known of compiled code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoinstr.analysis.blocks import ignore_tick
from autoinstr.analysis.device_join import join_profiles
from autoinstr.analysis.engine_step import EngineStep
from autoinstr.analysis.profile_run import ProfileRun
from autoinstr.analysis.request import Request
from autoinstr.device.profile_kinds import find_profiles
from autoinstr.recording.run import open_run
from autoinstr.report.page import request_steps
from autoinstr.report.page.page_steps import PageSteps
from autoinstr.report.page.report import build_payload
from autoinstr.report.page.request_steps import list_request_steps
from autoinstr.report.page.step_selection import select_steps
from tests.support.busy_server import SLOW_NS, write_busy_server
from tests.support.kineto import ENGINE, Trace
from tests.support.report_fakes import Event, FakeRecording
from tests.support.report_fakes import run_of as make_run
from tests.unit.test_device_times import module, run_of


def add_kernels(trace: Trace, shift: int = 0) -> None:
    """Kernels of Linear and of no module, on two streams, and one long after the step.

    The operator fits the call of Linear exactly at a clock that is `shift` ns early."""
    mm = trace.operator("aten::mm", 2_001 - shift, 19_999 - shift)
    gemm = "void gemm<int, 4>(int, int)"
    trace.kernel(gemm, trace.launch(mm, 4_000 - shift), 8_000 - shift, 700)
    trace.kernel(gemm, trace.launch(mm, 5_000 - shift), 29_900 - shift, 400)
    trace.kernel("late", trace.launch(None, 95_000), 100_000, 3)
    trace.kernel("outside", trace.launch(None, 95_100), 12_000 - shift, 50)
    trace.events[-2]["args"]["stream"] = 9


def list_device_lanes(payload: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    """Return the device's lanes of the step of Net: label, and [start, duration, name, …]."""
    names = payload["excerpts"]["names"]
    item = payload["excerpts"]["items"][0]
    return [
        (
            lane["thread"],
            [
                (start, duration, *names[name])
                for start, duration, name in zip(lane["start"], lane["duration"], lane["name"])
            ],
        )
        for lane in item["lanes"]
        if lane.get("device")
    ]


@pytest.mark.parametrize("shift", [0, 1_500])
def test_the_kernels_of_a_step_have_a_lane_with_their_modules(tmp_path: Path, shift: int) -> None:
    trace = Trace()
    add_kernels(trace, shift)
    trace.write(tmp_path / "trace.json")
    run = open_run(str(run_of(tmp_path / "run")))
    found = find_profiles(str(tmp_path / "trace.json"))
    joined = join_profiles(run, found, (), ignore_tick, with_kernels=True)
    assert joined.problems == []
    payload = build_payload(run, device=joined.device)
    # the step begins at 1,000; its last kernel ends after it, and `late` is not in it
    assert list_device_lanes(payload) == [
        (
            "device 0, stream 7",
            [
                (7_000, 700, "gemm<int, 4>", "Linear", "fc"),
                (28_900, 400, "gemm<int, 4>", "Linear", "fc"),
            ],
        ),
        ("device 0, stream 9", [(11_000, 50, "outside", "", "")]),
    ]
    assert payload["excerpts"]["items"][0]["reason"].startswith("profiled")
    (tree,) = payload["groups"][0]["domains"]
    assert tree["figures"][0]["bases"] == [{"eager": 1_100}] * 2
    without = join_profiles(run, found, (), ignore_tick)
    assert list_device_lanes(build_payload(run, device=without.device)) == []


def test_a_profile_alone_has_a_device_lane_too(tmp_path: Path) -> None:
    trace = Trace()
    module(trace, "Net", 1_000, 30_000)
    module(trace, "Linear", 2_000, 20_000)
    add_kernels(trace)
    path = str(trace.write(tmp_path / "trace.json"))
    with ProfileRun(path, find_profiles(path), (), ignore_tick, with_kernels=True) as profiles:
        payload = build_payload(profiles.run, device=profiles.device)
    # Nothing is said of an agent that was not there.
    assert (payload["run"]["from_profile"], payload["instrumented"]) == (True, [])
    lanes = list_device_lanes(payload)
    assert [label for label, _ in lanes] == ["device 0, stream 7", "device 0, stream 9"]
    assert [kernel[:4] for kernel in lanes[0][1]] == [
        (7_000, 700, "gemm<int, 4>", "Linear"),
        (28_900, 400, "gemm<int, 4>", "Linear"),
    ]


def test_a_step_of_the_profile_is_selected() -> None:
    steps = PageSteps("engine", ["decode"], [0] * 9, range(9), [9, 1, 2, 3, 4, 5, 6, 7, 8])
    reasons = {step.number: step.reason for step in select_steps(steps, range(9), 10, {2, 3, 7})}
    assert reasons[3] == "profiled decode"
    assert reasons[0] == "first and slowest decode"


class TestRequestSteps:
    @staticmethod
    def make_step(number: int, *ids: str) -> EngineStep:
        step = EngineStep(0, f"s@{number}", 100 * number, is_scheduled=True)
        step.request_ids = list(ids)
        return step

    @staticmethod
    def make_request(request_id: str, queued_ns: int) -> Request:
        request = Request(request_id, 0)
        request.queued_ns = queued_ns
        return request

    def test_runs_of_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ids = ["a", "ab", "ab", "b", "a", "", "a"]
        steps = [self.make_step(number, *step_ids) for number, step_ids in enumerate(ids)]
        requests = [
            self.make_request("a", 0),
            self.make_request("b", 10),
            self.make_request("a", 350),  # the same id again
            self.make_request("c", 0),
        ]
        assert list_request_steps(requests, steps) == [[0, 2], [1, 3], [4, 4, 6, 6], None]
        monkeypatch.setattr(request_steps, "MAX_RUNS", 3)
        assert list_request_steps(requests, steps) == [None] * 4

    def test_the_page_has_steps_and_parts_of_each_request(self, tmp_path: Path) -> None:
        write_busy_server(tmp_path, requests=5, steps=12, classes=4)
        columns = build_payload(open_run(str(tmp_path)))["requests"]["columns"]
        assert columns["steps"] == [[0, 11]] * 5
        assert columns["prefill"] == [97_995] * 5
        for row in range(5):
            parts = sum(columns[key][row] for key in ("queue", "prefill", "decode"))
            assert 0 < columns["e2e"][row] - parts < 20_000

    def test_the_slow_step_is_slower_by_what_its_part_took(self, tmp_path: Path) -> None:
        write_busy_server(tmp_path, requests=5, steps=12, classes=4)
        steps = build_payload(open_run(str(tmp_path)))["steps"]
        assert steps["duration"][-1] - steps["duration"][1] == SLOW_NS
        assert steps["execute_ns"][-1] - steps["execute_ns"][1] == SLOW_NS


def test_rows_say_what_is_compiled_and_what_shares_kernels() -> None:
    events = [Event(0, 100, cls="Net"), Event(10, 20, "a", "A"), Event(30, 40, "a", "A")]
    recording = FakeRecording(events)
    for number, name in recording.names.items():
        if name.path == "a":
            recording.names[number] = name._replace(basis="compiled", kernels=("fused_0",))
    (group,) = build_payload(make_run(recording))["groups"]
    (tree,) = group["domains"]
    row = tree["labels"].index("a")
    assert tree["compiled"] == [[row, 2, 2]]
    assert tree["shared"] == [[row, ["fused_0"]]]


def test_ranks_have_columns_of_what_limits_a_module(tmp_path: Path) -> None:
    """The profiles of two ranks: a line without calls is compared with nothing."""
    for rank in (0, 1):
        trace = Trace(1000 + rank, distributedInfo={"rank": rank, "world_size": 2})
        module(trace, "Net", 1_000, 50_000)
        shapes = {"Input_Dims": [[2, 3], [3, 5]], "Input_type": ["float", "float"]}
        mm = trace.operator("aten::mm", 2_000, 3_000, **shapes)
        trace.kernel("gemm", trace.launch(mm, 2_500), 8_000, 700)
        node = trace.operator(f"{ENGINE}torch::autograd::AccumulateGrad", 60_000, 70_000, 4001)
        trace.kernel("add", trace.launch(node, 61_000, 4001), 70_000, 100)
        trace.write(tmp_path / f"rank{rank}.trace.json")
    found = find_profiles(str(tmp_path))
    with ProfileRun(str(tmp_path), found, (), ignore_tick, with_kernels=True) as run:
        payload = build_payload(run.run, device=run.device)
    tree = payload["groups"][0]["domains"][0]
    keys = {figure["key"]: figure["unit"] for figure in tree["device_figures"]}
    assert keys["flops"] == "flops"
    figures = tree["figures"][0]
    flops = dict(zip((tree["labels"][row] for row in figures["rows"]), figures["flops"]))
    assert flops == {"Net": 60, "[AccumulateGrad]": None}
