"""Profiles joined with a recording: absurd, cut-off and reordered ones give a report, a timeline
and a comparison, or one line that says why not. No kernel is lost."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstr.analysis.blocks import ignore_tick
from autoinstr.analysis.device_join import join_profiles
from autoinstr.base.errors import AutoinstrError
from autoinstr.device.profile_kinds import find_profiles
from autoinstr.diff.comparison import compare_runs
from autoinstr.diff.data import build_contents
from autoinstr.recording.run import open_run
from autoinstr.report.data import stats_json
from autoinstr.report.options import TableOptions
from autoinstr.report.terminal.modules_table import write_tables
from autoinstr.report.timeline import chrome, perfetto
from tests.fuzz.test_profiles import ARGUMENTS, FEW, KEYS, VALUES, change_events, sound
from tests.support.kineto import Trace
from tests.support.recordings import make_recording, set_clock

pytestmark = pytest.mark.timeout(60)
CLOCK = 5_000_000
TIMES = st.integers(-(1 << 62), 1 << 62) | st.integers(0, 200_000)


def make_run(folder: Path, trace: Trace, text: str | bytes, moved_ns: int = 0) -> Path:
    """Make a run of the trace's process, with the trace in it."""
    calls = [
        (0, "", "Net", CLOCK + 1_000, CLOCK + 90_000),
        (0, "fc", "Linear", CLOCK + 2_000, CLOCK + 20_000),
    ]
    run = folder / "run"
    file = make_recording(str(run), calls, pid=trace.pid, root="Net#1")
    set_clock(file, trace.base + moved_ns, CLOCK)
    data = text if isinstance(text, bytes) else text.encode()
    (run / "rank0.pt.trace.json").write_bytes(data)
    return run


def report(folder: Path) -> None:
    """Make every report that reads a joined profile."""
    run = open_run(str(folder))
    try:
        found = find_profiles(str(folder))
        joined = join_profiles(run, found, (), ignore_tick, with_kernels=True)
    except AutoinstrError as error:
        assert "\n" not in str(error) and "internal error" not in str(error)
        return
    assert not any("\n" in line or "internal error" in line for line in joined.problems)
    assert joined.device is not None or joined.problems
    device = joined.device
    out = io.StringIO()
    stats_json.write(run, out, ignore_tick, None, device)
    write_tables(run, io.StringIO(), TableOptions(device=device))
    timeline = io.BytesIO()
    chrome.write(run, timeline, ignore_tick, device)
    events = json.loads(timeline.getvalue())["traceEvents"]
    perfetto.write(run, io.BytesIO(), ignore_tick, device)
    if device is None:
        return
    told = json.loads(out.getvalue())["device"]
    for key in ("kernels", "device_ns"):
        assert sum(basis[key] for basis in told["bases"].values()) == told[key]
    kernels = [one for one in events if one.get("cat") == "kernel"]
    if not device.profiles[0].times.on_cpu:
        assert len(kernels) == told["kernels"]
        assert json.dumps(build_contents(compare_runs(run, run, devices=(device, device))))
    device.close()


@FEW
@given(
    st.lists(st.tuples(st.integers(0, 20), st.one_of(KEYS, ARGUMENTS), VALUES), max_size=4),
    st.permutations(list(range(12))),
    st.sampled_from([0, 0, 0, 7_000, -300_000, 1 << 50]),
)
def test_events_with_any_values_in_any_order(
    changes: list[tuple[int, str, Any]], order: list[int], moved_ns: int
) -> None:
    trace = sound()
    change_events(trace, changes)
    events = trace.events
    trace.events = [events[index] for index in order if index < len(events)] + events[12:]
    with tempfile.TemporaryDirectory() as folder:
        report(make_run(Path(folder), trace, trace.text(), moved_ns))


@FEW
@given(st.integers(0, 3_000), st.binary(max_size=4), st.integers(0, 20_000))
def test_a_cut_trace_beside_a_cut_recording(position: int, damage: bytes, kept: int) -> None:
    trace = sound()
    data = trace.text().encode()
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder), trace, data[: position % len(data)] + damage)
        [file] = run.glob("*.airec")
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) - kept % len(whole)])
        try:
            report(run)
        except AutoinstrError as error:
            assert "\n" not in str(error)


@FEW
@given(st.lists(st.tuples(TIMES, TIMES, st.integers(0, 3), st.integers(0, 3)), max_size=12))
def test_kernels_at_any_time_on_any_stream(
    kernels: list[tuple[int, int, int, int]],
) -> None:
    trace = sound()
    for start, ns, device, stream in kernels:
        launch = trace.launch(None, abs(start) % 100_000)
        trace.kernel("k", launch, start, ns, device=device)
        trace.events[-2]["args"]["stream"] = stream
    with tempfile.TemporaryDirectory() as folder:
        report(make_run(Path(folder), trace, trace.text()))
