"""Kernels in the timelines: a track for each stream, and the module of each kernel."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from autoinstr.analysis.blocks import ignore_tick
from autoinstr.analysis.profile_run import ProfileRun
from autoinstr.cli import main
from autoinstr.device.profile_kinds import find_profiles
from autoinstr.report.timeline import perfetto
from tests.support.kineto import Trace
from tests.support.recordings import make_recording, set_clock
from tests.unit.test_device_times import module
from tests.unit.test_report_perfetto import Decoded

US = 1_000
CLOCK = 5_000_000


class Shown(NamedTuple):
    """A kernel in a timeline; the start is in ns since the first one."""

    track: str
    name: str
    start: int
    ns: int
    facts: dict[str, str]


EXPECTED = [
    Shown(
        "device 0, stream 7",
        "gemm<1, 2>",
        0,
        30 * US,
        {"module": "Net/Linear", "basis": "eager", "kind": "compute"},
    ),
    Shown("device 0, stream 7", "Memcpy", 30 * US, 5 * US, {"basis": "outside", "kind": "copy"}),
    Shown(
        "device 0, stream 7, overlapping 1",
        "late",
        20 * US,
        20 * US,
        {"module": "Net", "basis": "eager", "kind": "compute"},
    ),
    Shown(
        "device 1, stream 9",
        "ncclAllReduce",
        10 * US,
        90 * US,
        {"module": "Net", "basis": "eager", "kind": "communication"},
    ),
]


def trace() -> Trace:
    """Two modules and a copy outside them, on two streams, one kernel over two others."""
    made = Trace()
    module(made, "Net", 10 * US, 100 * US)
    module(made, "Linear", 20 * US, 40 * US)
    made.operator("aten::add", 1 * US, 2 * US)
    made.kernel("gemm<1, 2>", made.launch(None, 25 * US), 200 * US, 30 * US)
    made.kernel("late", made.launch(None, 50 * US), 220 * US, 20 * US)
    made.kernel("ncclAllReduce", made.launch(None, 60 * US), 210 * US, 90 * US, device=1)
    made.events[-2]["args"]["stream"] = 9
    copy = made.launch(None, 150 * US, name="cudaMemcpyAsync")
    made.kernel("Memcpy", copy, 230 * US, 5 * US, cat="gpu_memcpy")
    return made


def read_chrome(path: Path) -> list[Shown]:
    events: list[dict[str, Any]] = json.loads(path.read_text())["traceEvents"]
    rows = {one["tid"]: one["args"]["name"] for one in events if one["name"] == "thread_name"}
    kernels = [one for one in events if one.get("cat") == "kernel"]
    first = min(one["ts"] for one in kernels)
    return [
        Shown(
            rows[one["tid"]],
            one["name"],
            round((one["ts"] - first) * 1000),
            round(one["dur"] * 1000),
            one["args"],
        )
        for one in sorted(kernels, key=lambda one: (one["tid"], one["ts"]))
    ]


def with_paths(shown: list[Shown], paths: dict[str, str]) -> list[Shown]:
    """Name the modules as the timeline does."""
    return [
        one._replace(facts={key: paths.get(value, value) for key, value in one.facts.items()})
        for one in shown
    ]


# the root of a profile's own modules has no path
OF_PROFILE = {"Net/Linear": "Linear:Linear"}


def test_a_chrome_trace_of_a_profile_has_its_kernels(tmp_path: Path) -> None:
    path = trace().write(tmp_path / "trace.json")
    out = tmp_path / "out.json"
    assert main(["report", str(path), "--format", "chrome", "-o", str(out)]) == 0
    assert read_chrome(out) == with_paths(EXPECTED, OF_PROFILE)


def test_a_perfetto_trace_of_a_profile_has_its_kernels(tmp_path: Path) -> None:
    path = trace().write(tmp_path / "trace.json")
    out = io.BytesIO()
    with ProfileRun(str(path), find_profiles(str(path)), [], ignore_tick, with_kernels=True) as run:
        perfetto.write(run.run, out, ignore_tick, run.device)
    decoded = Decoded(out.getvalue())
    names = {uuid: track.name for uuid, track in decoded.tracks.items()}
    kernels = [one for one in decoded.slices if names[one[0]].startswith("device ")]
    first = min(start for _, _, start, _, _ in kernels)
    shown = [
        Shown(
            names[track], name, start - first, (end or 0) - start, decoded.attributes[name, start]
        )
        for track, name, start, end, depth in kernels
        if depth == 0
    ]
    assert sorted(shown, key=lambda one: (one.track, one.start)) == sorted(
        with_paths(EXPECTED, OF_PROFILE), key=lambda one: (one.track, one.start)
    )
    assert len(kernels) == len(EXPECTED)


@pytest.mark.parametrize("late_us", [0, 4])
def test_a_joined_run_has_them_beside_its_own_ranges(tmp_path: Path, late_us: int) -> None:
    """The recording's clock is some microseconds off; the kernels follow the profile's."""
    made = trace()
    # operators at the edges of the modules tell the clocks apart
    for start, end in ((11, 19), (21, 39), (41, 99)):
        made.operator("aten::mul", start * US, end * US)
    path = made.write(tmp_path / "trace.json")
    ranges = [(0, "", "Net", 10, 100), (0, "linear", "Linear", 20, 40)]
    calls = [
        (thread, path, cls, CLOCK + (start + late_us) * US, CLOCK + (end + late_us) * US)
        for thread, path, cls, start, end in ranges
    ]
    file = make_recording(str(tmp_path / "run"), calls, pid=made.pid)
    set_clock(file, made.base, CLOCK)
    out = tmp_path / "out.json"
    words = ["report", str(tmp_path / "run"), "--profile", str(path), "--format", "chrome"]
    assert main([*words, "-o", str(out)]) == 0
    events = json.loads(out.read_text())["traceEvents"]
    [net] = [one for one in events if one.get("cat") == "Module" and one["dur"] == 90]
    first = min(one["ts"] for one in events if one.get("cat") == "kernel")
    assert first - net["ts"] == pytest.approx(190, abs=1.1)
    assert len(read_chrome(out)) == len(EXPECTED)
