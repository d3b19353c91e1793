"""Device time by module: each kind of kernel has its module and its basis, and none is lost.

The traces have the shape of Kineto's. What real devices write is known from public traces; no GPU
ran here.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoinstr.analysis.blocks import ignore_tick
from autoinstr.analysis.profile_run import ProfileRun
from autoinstr.base.errors import AutoinstrError
from autoinstr.cli import main
from autoinstr.device.profile_kinds import find_profiles
from autoinstr.report.data import stats_json
from tests.support.kineto import ENGINE, Trace
from tests.support.recordings import make_recording, set_clock

# by path of classes: the row's own kernels by basis, as [number, ns]
Rows = dict[str, dict[str, list[int]]]


def module(trace: Trace, cls: str, start: int, end: int, tid: int = 4000) -> None:
    trace.add("python_function", f"nn.Module: {cls}_0", start, end, trace.pid, tid)


def read(path: Path, *captures: Path) -> dict[str, Any]:
    """Return the JSON report of a profile."""
    found = find_profiles(str(path))
    with ProfileRun(str(path), found, [str(one) for one in captures], ignore_tick) as run:
        target = path.parent / "report.json"
        with open(target, "w") as stream:
            stats_json.write(run.run, stream, ignore_tick, None, run.device)
    report: dict[str, Any] = json.loads(target.read_text())
    device = report["device"]
    for key in ("kernels", "device_ns"):
        assert sum(basis[key] for basis in device["bases"].values()) == device[key]
    return report


def own(report: dict[str, Any]) -> Rows:
    return {
        "/".join(row["classes"]): row["device"]["by_basis"]
        for row in report["rows"]
        if row["device"] and row["device"]["by_basis"]
    }


def bases(report: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {
        basis: (part["kernels"], part["device_ns"])
        for basis, part in report["device"]["bases"].items()
        if part["kernels"]
    }


def eager(trace: Trace) -> None:
    """A kernel with commas in its name, one of no operator (Triton), and one outside."""
    module(trace, "Net", 1_000, 90_000)
    module(trace, "Linear", 2_000, 50_000)
    mm = trace.operator("aten::mm", 3_000, 20_000)
    trace.kernel("gemm<int, 4>(int, int)", trace.launch(mm, 4_000), 100_000, 700)
    trace.kernel("triton_poi_fused", trace.launch(None, 60_000, cat="cuda_driver"), 101_000, 50)
    trace.kernel("outside", trace.launch(None, 95_000), 102_000, 3)


def before(trace: Trace) -> None:
    """Kernels whose launch the profile does not have: earlier ones, and a lost one."""
    trace.kernel("early", 1, 500, 40)
    trace._correlations = 10
    module(trace, "Net", 1_000, 90_000)
    trace.kernel("linked", trace.launch(None, 2_000), 3_000, 7)
    trace.kernel("lost", 999, 4_000, 5)


def graph_launch(trace: Trace) -> None:
    module(trace, "Net", 1_000, 90_000)
    inside = trace.launch(None, 2_000, name="hipGraphLaunch")
    outside = trace.launch(None, 95_000, name="cudaGraphLaunch")
    for at in range(3):
        trace.kernel("k", inside, 100_000 + 10 * at, 2)
        trace.kernel("k", outside, 200_000 + 10 * at, 3)


def other_thread(trace: Trace) -> None:
    """A module that waits while another thread launches kernels in modules of its own."""
    module(trace, "Waits", 1_000, 90_000)
    module(trace, "Works", 10_000, 20_000, tid=5000)
    trace.kernel("k", trace.launch(None, 2_000), 100_000, 1)
    trace.kernel("k", trace.launch(None, 11_000, tid=5000), 100_010, 2)
    trace.kernel("k", trace.launch(None, 30_000, tid=6000), 100_020, 4)


def forward(trace: Trace) -> None:
    module(trace, "Net", 1_000, 30_000)
    module(trace, "Linear", 2_000, 20_000)
    mm = trace.operator("aten::mm", 3_000, 10_000, Sequence_number=7, Fwd_thread_id=0)
    trace.kernel("mm", trace.launch(mm, 4_000), 100_000, 100)


def backward(trace: Trace) -> None:
    """A node, the sum of two gradients in it, and AccumulateGrad, in autograd's own thread."""
    forward(trace)
    trace.operator(f"{ENGINE}MmBackward0", 40_000, 60_000, 5000, Sequence_number=7, Fwd_thread_id=1)
    trace.operator("MmBackward0", 41_000, 50_000, 5000, Sequence_number=7, Fwd_thread_id=1)
    trace.kernel("mm_grad", trace.launch(None, 42_000, 5000), 110_000, 200)
    trace.operator("aten::add", 51_000, 59_000, 5000)
    trace.kernel("add", trace.launch(None, 52_000, 5000), 111_000, 10)
    trace.operator(f"{ENGINE}torch::autograd::AccumulateGrad", 61_000, 70_000, 5000)
    trace.operator("aten::add_", 62_000, 69_000, 5000)
    trace.kernel("add_", trace.launch(None, 63_000, 5000), 112_000, 20)


def backward_numbered_inside(trace: Trace) -> None:
    """Old versions and torch_npu give the number to the node's own operator alone."""
    forward(trace)
    trace.operator(f"{ENGINE}MmBackward0", 40_000, 60_000, 5000)
    trace.operator("MmBackward0", 41_000, 50_000, 5000, Sequence_number=7, Fwd_thread_id=1)
    trace.kernel("mm_grad", trace.launch(None, 42_000, 5000), 110_000, 200)


def gradient_in_forward(trace: Trace) -> None:
    """autograd.grad in forward: the forward operator is older than the profile."""
    module(trace, "Net", 1_000, 90_000)
    trace.operator(f"{ENGINE}MmBackward0", 40_000, 60_000, 5000, Sequence_number=3, Fwd_thread_id=1)
    trace.kernel("mm_grad", trace.launch(None, 42_000, 5000), 110_000, 200)


def recompute(trace: Trace) -> None:
    """A checkpoint runs a module again, in the first node of its backward."""
    forward(trace)
    trace.operator(f"{ENGINE}MmBackward0", 40_000, 90_000, 5000, Sequence_number=7, Fwd_thread_id=1)
    module(trace, "Block", 41_000, 60_000, tid=5000)
    trace.operator("aten::relu", 42_000, 50_000, 5000, Sequence_number=7, Fwd_thread_id=0)
    trace.kernel("relu", trace.launch(None, 43_000, 5000), 110_000, 5)
    trace.kernel("mm_grad", trace.launch(None, 70_000, 5000), 111_000, 9)
    trace.operator(
        f"{ENGINE}ReluBackward0", 91_000, 99_000, 5000, Sequence_number=7, Fwd_thread_id=2
    )
    trace.kernel("relu_grad", trace.launch(None, 92_000, 5000), 112_000, 3)


NO_LAUNCH = {"unknown": (1, 5)}
CASES: dict[Callable[[Trace], None], tuple[dict[str, tuple[int, int]], Rows]] = {
    eager: (
        {"eager": (2, 750), "outside": (1, 3)},
        {"Net": {"eager": [1, 50]}, "Net/Linear": {"eager": [1, 700]}},
    ),
    before: (
        {"eager": (1, 7), "before": (1, 40), "unknown": (1, 5)},
        {"Net": {"eager": [1, 7]}},
    ),
    graph_launch: (
        {"eager": (3, 6), "unknown": (3, 9)},
        {"Net": {"eager": [3, 6]}},
    ),
    other_thread: (
        {"eager": (2, 3), "outside": (1, 4)},
        {"Waits": {"eager": [1, 1]}, "Works": {"eager": [1, 2]}},
    ),
    backward: (
        {"eager": (1, 100), "backward": (3, 230)},
        {
            "Net/Linear": {"eager": [1, 100], "backward": [1, 200]},
            "[AccumulateGrad]": {"backward": [1, 20]},
            "[gradient sum]": {"backward": [1, 10]},
        },
    ),
    backward_numbered_inside: (
        {"eager": (1, 100), "backward": (1, 200)},
        {"Net/Linear": {"eager": [1, 100], "backward": [1, 200]}},
    ),
    gradient_in_forward: ({"backward": (1, 200)}, {"Net": {"backward": [1, 200]}}),
    recompute: (
        {"eager": (1, 100), "backward": (2, 12), "recompute": (1, 5)},
        {
            "Net/Linear": {"eager": [1, 100], "backward": [1, 9]},
            "Block": {"recompute": [1, 5], "backward": [1, 3]},
        },
    ),
}


@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__)
def test_each_kind_of_kernel(tmp_path: Path, build: Callable[[Trace], None]) -> None:
    trace = Trace()
    build(trace)
    report = read(trace.write(tmp_path / "trace.json"))
    expected_bases, expected_rows = CASES[build]
    assert bases(report) == expected_bases
    assert own(report) == expected_rows


def test_a_row_holds_what_is_below_it_once(tmp_path: Path) -> None:
    trace = Trace()
    module(trace, "Net", 1_000, 90_000)
    module(trace, "Net", 2_000, 80_000)  # it calls itself
    trace.kernel("k", trace.launch(None, 3_000), 100_000, 5)
    report = read(trace.write(tmp_path / "trace.json"))
    totals = {"/".join(row["classes"]): row["device"]["total_ns"] for row in report["rows"]}
    assert totals == {"Net": 5, "Net/Net": 5}
    assert report["rows"][0]["device"]["top_kernel"] == "k"


def test_the_categories_of_torch_1_8(tmp_path: Path) -> None:
    thread = "3004819264"
    events = [
        {"cat": "Operator", "name": "aten::mm", "ts": 10, "dur": 90, "pid": "7", "tid": thread},
        {"cat": "Runtime", "name": "cudaLaunchKernel", "ts": 20, "dur": 5, "pid": "7"},
        {"cat": "Kernel", "name": "k", "ts": 40, "dur": 6, "pid": 0, "tid": "stream 7"},
    ]
    events[1].update(tid=thread, args={"correlation": 5, "external id": 5})
    events[2]["args"] = {"device": 0, "stream": 7, "correlation": 5}
    path = tmp_path / "trace.json"
    path.write_text(json.dumps({"traceEvents": [{"ph": "X", **event} for event in events]}))
    report = read(path)
    assert bases(report) == {"outside": (1, 6000)} and report["problems"] == []


def test_times_since_1970_are_exact(tmp_path: Path) -> None:
    """Microseconds with three decimals: a double would put the launch before its module."""
    path = tmp_path / "trace.json"
    rows = [
        '"cat": "python_function", "name": "nn.Module: Net_0", "ts": 1712195495530634.201, '
        '"dur": 9.001, "tid": 5, "pid": 5',
        '"cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": 1712195495530643.202, "dur": 1, '
        '"tid": 5, "pid": 5, "args": {"correlation": 1}',
        '"cat": "kernel", "name": "k", "ts": 1712195495530700.001, "dur": 0.003, "pid": 0, '
        '"tid": 7, "args": {"correlation": 1}',
    ]
    text = ", ".join(f'{{"ph": "X", {row}}}' for row in rows)
    path.write_text(f'{{"traceEvents": [{text}]}}')
    assert own(read(path)) == {"Net": {"eager": [1, 3]}}
    path.write_text(path.read_text().replace("643.202", "643.203"))
    assert bases(read(path)) == {"outside": (1, 3)}


def test_communication_and_copies_are_kinds_of_their_own(tmp_path: Path) -> None:
    trace = Trace()
    module(trace, "Net", 1_000, 90_000)
    for at, (name, cat) in enumerate(
        [("ncclDevKernel_AllReduce", "kernel"), ("Memcpy HtoD", "gpu_memcpy"), ("mm", "kernel")]
    ):
        trace.kernel(name, trace.launch(None, 2_000 + at), 100_000 + 10 * at, 1 + at, cat=cat)
    report = read(trace.write(tmp_path / "trace.json"))
    kinds = {"communication": [1, 1], "copy": [1, 2], "compute": [1, 3]}
    assert report["rows"][0]["device"]["kinds"] == kinds


def captured(path: Path, names: list[str]) -> Path:
    trace = Trace()
    module(trace, "Net", 1_000, 90_000)
    for at, name in enumerate(names):
        module(trace, f"Layer{at}", 10_000 + 1_000 * at, 10_900 + 1_000 * at)
        trace.launch(None, 10_500 + 1_000 * at)
        trace.events[-2]["args"]["kernel"] = name
    return trace.write(path)


def test_a_replayed_graph_by_order_and_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two captures, of two batch sizes: the one whose names fit counts."""
    small, large = (
        captured(tmp_path / f"{name}.json", [f"{name}_mm", "add"]) for name in ("small", "large")
    )
    trace = Trace()
    trace.operator("aten::empty", 1_000, 1_500)
    launch = trace.launch(None, 2_000, name="cudaGraphLaunch")
    trace.kernel("add", launch, 101_000, 4)
    trace.kernel("large_mm", launch, 100_000, 3)
    path = trace.write(tmp_path / "trace.json")
    assert bases(read(path)) == {"unknown": (2, 7)}
    assert own(read(path, small, large)) == {
        "Net/Layer0": {"graph": [1, 3]},
        "Net/Layer1": {"graph": [1, 4]},
    }
    capture = ["--capture", str(large), "--capture", str(small)]
    assert main(["report", str(path), *capture]) == 0
    table = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert "3 ns" in table["Layer0"] and "4 ns" in table["Layer1"], "modules that made no call"
    report = read(path, small)
    assert bases(report) == {"unknown": (2, 7)}
    assert "0 are those of" in report["problems"][0] and "large_mm" in report["problems"][0]


def test_a_trace_without_anything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AutoinstrError, match="neither operators nor kernels"):
        read(Trace().write(tmp_path / "trace.json"))


def test_steps_have_busy_and_idle_time(tmp_path: Path) -> None:
    trace = Trace()
    for number in range(2):
        begin = 100_000 * number
        name = f"ProfilerStep#{number}"
        trace.add("user_annotation", name, begin, begin + 90_000, trace.pid, 4000)
        launch = trace.launch(None, begin + 1_000)
        trace.kernel("k", launch, begin + 10_000, 20_000)
        trace.kernel("k", launch, begin + 20_000, 20_000)  # on another stream, at the same time
    report = read(trace.write(tmp_path / "trace.json"))
    assert [
        (step["name"], step["kernels"], step["device_ns"], step["busy_ns"], step["idle_ns"])
        for step in report["device"]["steps"]
    ] == [(f"ProfilerStep#{number}", 2, 40_000, 30_000, 60_000) for number in range(2)]


def test_the_table_the_csv_and_the_page_of_a_profile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = Trace()
    backward(trace)
    path = trace.write(tmp_path / "trace.json")
    assert main(["report", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    heading = next(line.split() for line in lines if line.startswith("module"))
    linear = next(line.split() for line in lines if line.startswith("  Linear"))
    assert heading[:4] == ["module", "device", "%", "self"]
    assert linear[:4] == ["Linear", "300", "ns", "90.9"]
    assert any(line.startswith("how the modules were found: eager 100 ns (1);") for line in lines)
    command = lines[-1].partition("#")[0].split()
    assert command == ["next:", "autoinstr", "report", str(path), "-o", "report.html"]
    monkeypatch.chdir(tmp_path)
    assert main(command[2:]) == 0 and (tmp_path / "report.html").stat().st_size
    capsys.readouterr()
    assert main(["report", str(path), "--format", "csv", "--sort", "device", "--limit", "1"]) == 0
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["classes"], row["device_ns"], row["backward_ns"]) == ("Net", "300", "200")
    assert main(["report", str(path), "--format", "html", "-o", str(tmp_path / "p.html")]) == 0
    assert '"device_ns":330' in (tmp_path / "p.html").read_text()


THREAD = 0  # its number in the recording; the system's is the trace's 4000


def run_of(folder: Path, *, pid: int = 1000, at_ns: int = 0) -> Path:
    """A recording of Net and its Linear at the times of `forward`, on a clock of its own."""
    base = Trace().base
    calls: list[Any] = [
        (THREAD, "", "Net", 5_001_000 + at_ns, 5_030_000 + at_ns),
        (THREAD, "fc", "Linear", 5_002_000 + at_ns, 5_020_000 + at_ns),
    ]
    file = make_recording(str(folder), calls, pid=pid, root="Net#1")
    set_clock(file, base + 4_000_000, 9_000_000)
    return folder


def test_a_profile_is_joined_with_the_recording_of_its_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = Trace()
    backward(trace)
    trace.events = [one for one in trace.events if one.get("cat") != "python_function"]
    trace.write(tmp_path / "trace.json")
    run = run_of(tmp_path / "run")
    command = ["report", str(run), "--format", "json", "-o", "-"]
    assert main([*command, "--profile", str(tmp_path / "trace.json")]) == 0
    named = json.loads(capsys.readouterr().out)
    trace.write(run / "rank0.pt.trace.json")
    assert main(command) == 0
    joined = json.loads(capsys.readouterr().out)
    for report in (named, joined):
        rows = {row["path"]: row for row in report["rows"] if row["root"]}
        assert rows["fc"]["classes"] == ["Net", "Linear"]
        assert rows["fc"]["device"]["by_basis"] == {"eager": [1, 100], "backward": [1, 200]}
        assert rows[""]["device"]["total_ns"] == 300
    foreign = Trace(pid=77)
    forward(foreign)
    (run / "rank0.pt.trace.json").unlink()
    foreign.write(tmp_path / "trace.json")
    assert main([*command, "--profile", str(tmp_path / "trace.json")]) == 1
    assert "process 77, which is not in this run" in capsys.readouterr().err


def test_timelines_of_other_tools_in_a_run_are_no_profiles(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    (run / "trace.json").write_text('{"traceEvents": []}')
    (run / "rank1.pt.trace.json.gz").write_bytes(b"\x1f\x8b and then nothing")
    Trace().write(run / "my-trace.json")
    names = [Path(profile.path).name for profile in find_profiles(str(run))]
    assert names == ["my-trace.json", "rank1.pt.trace.json.gz"]
