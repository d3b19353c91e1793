"""FLOPs and operand bytes: the formulas, which operators count, and what is unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoinstr.base.errors import UsageError
from autoinstr.cli import main
from autoinstr.device.peaks import find_peak, parse_peak
from autoinstr.device.work.formulas import FORMULAS
from autoinstr.device.work.shapes import UNKNOWN_COST, CallCost, compute_cost
from tests.support.kineto import ENGINE, Trace
from tests.support.recordings import make_recording
from tests.unit.test_device_times import module, read

CONVOLUTION = ["", "", "", "[2, 2]", "[1, 1]", "[1, 1]", "False", "[0, 0]", "2"]
TRANSPOSED = ["", "", "", "[2, 2]", "[1, 1]", "[1, 1]", "True", "[1, 1]", "1"]
ATTENTION = "aten::_scaled_dot_product_flash_attention"


def cost(name: str, dims: Any, constants: Any = (), kind: str = "float") -> CallCost:
    return compute_cost(FORMULAS[name], dims, [kind] * 16, list(constants))


@pytest.mark.parametrize(
    ("name", "dims", "constants", "flops", "elements"),
    [
        ("aten::mm", [[2, 3], [3, 5]], (), 60, 6 + 15 + 10),
        ("aten::addmm", [[5], [2, 3], [3, 5], [], []], (), 60, 5 + 6 + 15 + 10),
        ("aten::bmm", [[4, 2, 3], [4, 3, 5]], (), 240, 24 + 60 + 40),
        ("aten::baddbmm", [[4, 2, 5], [4, 2, 3], [4, 3, 5]], (), 240, 40 + 24 + 60 + 40),
        ("aten::_scaled_mm", [[2, 3], [3, 5], [], []], (), 60, 6 + 15 + 10),
        # rows of two groups; groups that are parts of the inner size
        ("aten::_grouped_mm", [[6, 3], [2, 3, 5], [2]], (), 180, 18 + 30 + 30),
        ("aten::_grouped_mm", [[3, 6], [6, 5], [2]], (), 180, 18 + 30 + 2 * 15),
        ("mkldnn::_linear_pointwise", [[4, 2, 3], [5, 3], [5]], (), 240, 24 + 15 + 5 + 40),
        # 4 by 4 places of 3 by 3 taps, 4 channels of 2 groups
        ("aten::convolution", [[1, 4, 8, 8], [6, 2, 3, 3], [6]], CONVOLUTION,
         2 * 16 * 9 * 2 * 6, 256 + 108 + 6 + 96),
        # 4 by 4 places of the input
        ("aten::convolution", [[1, 4, 4, 4], [4, 3, 3, 3], []], TRANSPOSED,
         2 * 16 * 9 * 3 * 4, 64 + 108 + 3 * 8 * 8),
        ("aten::cudnn_convolution", [[1, 4, 8, 8], [6, 4, 3, 3]],
         ["", "", "[1, 1]", "[2, 2]", "[1, 1]", "1"], 2 * 16 * 9 * 4 * 6, 256 + 216 + 96),
        # heads of keys are repeated: 4 query heads, 2 of keys
        (ATTENTION, [[1, 4, 8, 16], [1, 2, 10, 16], [1, 2, 10, 32]], (),
         2 * 4 * 80 * (16 + 32), 512 + 320 + 640 + 1024),
        (f"{ATTENTION}_backward", [[1, 4, 8, 32], [1, 4, 8, 16], [1, 2, 10, 16], [1, 2, 10, 32]],
         (), 2 * 4 * 80 * (3 * 16 + 2 * 32), 1024 + 2 * (512 + 320 + 640)),
        # heads come after the length
        ("aten::_flash_attention_forward", [[1, 8, 4, 16], [1, 10, 4, 16], [1, 10, 4, 16], []], (),
         2 * 4 * 80 * 32, 512 + 640 + 640 + 512),
    ],
)  # fmt: skip
def test_formulas(name: str, dims: Any, constants: Any, flops: int, elements: int) -> None:
    assert cost(name, dims, constants) == (flops, 4 * elements)
    assert cost(name, dims, constants, "c10::BFloat16") == (flops, 2 * elements)
    assert cost(name, dims, constants, "unheard of") == (flops, None)


def test_a_mask_says_which_gradients_of_a_convolution_are_computed() -> None:
    dims = [[1, 6, 4, 4], [1, 4, 8, 8], [6, 4, 3, 3]]
    both, values, weight = (
        cost("aten::convolution_backward", dims,
             ["", "", "", "[6]", "[2, 2]", "[1, 1]", "[1, 1]", "False", "[0, 0]", "1", mask])
        for mask in ("[True, True, True]", "[True, False, False]", "[False, True, False]")
    )  # fmt: skip
    assert both.flops == 2 * values.flops == 2 * weight.flops == 4 * 16 * 9 * 4 * 6
    read_bytes = 4 * (96 + 256 + 216)
    assert values.operand_bytes == read_bytes + 4 * 256
    assert weight.operand_bytes == read_bytes + 4 * 216


@pytest.mark.parametrize(
    ("name", "dims", "constants"),
    [
        ("aten::mm", None, ()),
        ("aten::mm", [], ()),
        ("aten::mm", [[2, 3]], ()),
        ("aten::mm", [[2, 3], [4, 5]], ()),
        ("aten::mm", [[2, -3], [-3, 5]], ()),
        ("aten::mm", [[2, "3"], ["3", 5]], ()),
        ("aten::mm", [[1 << 30, 1 << 30], [1 << 30, 1 << 30]], ()),
        ("aten::bmm", [[4, 2, 3], [5, 3, 5]], ()),
        ("aten::convolution", [[1, 4, 8, 8], [6, 2, 3, 3], [6]], ()),  # no constants
        ("aten::convolution", [[1, 4, 8, 8], [6, 2, 3, 3], [6]], ["x"] * 9),
        ("aten::convolution", [[1, 4, 8, 8], [6, 2, 3, 3], [6]], [None] * 9),
        ("aten::convolution", [[], [], []], CONVOLUTION),
        (ATTENTION, [[1, 4, 8, 16], [1, 3, 10, 16], [1, 3, 10, 16]], ()),
        # joined sequences, whose lengths the profile does not have
        ("aten::_flash_attention_forward", [[80, 4, 16]] * 3 + [[5]], ()),
    ],
)
def test_what_cannot_be_computed_is_unknown(name: str, dims: Any, constants: Any) -> None:
    assert cost(name, dims, constants) == UNKNOWN_COST


def matrix(size: int) -> dict[str, Any]:
    return {"Input_Dims": [[size, 10], [10, 10]], "Input_type": ["float", "float"]}


def figures(path: Path) -> dict[str, tuple[Any, Any]]:
    """Return the FLOPs of the rows, with and without what is below them."""
    return {
        "/".join(row["classes"]): (row["device"]["flops"], row["device"]["self_flops"])
        for row in read(path)["rows"]
        if row["device"]
    }


@pytest.mark.parametrize("has_device", [True, False])
def test_work_belongs_to_the_module_of_its_operator(tmp_path: Path, has_device: bool) -> None:
    trace = Trace()
    module(trace, "Net", 1_000, 50_000)
    module(trace, "Linear", 10_000, 30_000)
    sequence = {"Sequence_number": 7}
    trace.operator("aten::linear", 11_000, 20_000, **sequence)
    mm = trace.operator("aten::bmm", 12_000, 19_000, Input_Dims=[[2, 3, 10], [2, 10, 10]])
    trace.operator("aten::mm", 13_000, 14_000, **matrix(3))  # inside: part of the other
    trace.operator("aten::relu", 21_000, 22_000, Input_Dims=[[2, 3]])
    trace.operator("aten::mm", 31_000, 40_000, **matrix(1))
    node = {"Sequence_number": 7, "Fwd_thread_id": 1}
    trace.operator(f"{ENGINE}MmBackward0", 60_000, 80_000, 4001, **node)
    trace.operator("aten::mm", 61_000, 70_000, 4001, **matrix(4))
    trace.operator("aten::mm", 90_000, 95_000, **matrix(5))  # of no module
    if has_device:
        trace.kernel("gemm", trace.launch(mm, 15_000), 100_000, 500)
    path = trace.write(tmp_path / "trace.json")
    assert figures(path) == {"Net": (1200 + 200 + 800, 200), "Net/Linear": (2000, 2000)}
    profile = read(path)["device"]["profiles"][0]
    assert (profile["flops"], profile["flops_missing"]) == (1200 + 200 + 800 + 1000, None)


def test_unknown_work_makes_a_row_unknown(tmp_path: Path) -> None:
    trace = Trace()
    module(trace, "Net", 1_000, 50_000)
    module(trace, "Linear", 10_000, 20_000)
    module(trace, "Other", 30_000, 40_000)
    module(trace, "Norm", 41_000, 45_000)
    trace.operator("aten::mm", 11_000, 12_000, **matrix(1))
    trace.operator("aten::mm", 31_000, 32_000)
    norm = trace.operator("aten::rsqrt", 42_000, 43_000, Input_Dims=[[2]])
    trace.kernel("rsqrt", trace.launch(norm, 42_500), 60_000, 500)
    path = trace.write(tmp_path / "trace.json")
    assert figures(path) == {
        "Net": (None, None),
        "Net/Linear": (200, 200),
        "Net/Other": (None, None),
        "Net/Norm": (None, None),
    }
    profile = read(path)["device"]["profiles"][0]
    assert profile["flops"] is None
    assert profile["flops_missing"] == "1 operators or replays of graphs do not say their shapes"


def test_a_replayed_graph_hides_the_work(tmp_path: Path) -> None:
    trace = Trace()
    module(trace, "Net", 1_000, 50_000)
    module(trace, "Linear", 10_000, 20_000)
    trace.operator("aten::mm", 11_000, 12_000, **matrix(1))
    launch = trace.launch(None, 31_000, name="cudaGraphLaunch")
    trace.kernel("gemm", launch, 60_000, 500)
    path = trace.write(tmp_path / "trace.json")
    assert figures(path) == {"Net": (None, None), "Net/Linear": (200, 200)}


def test_a_profile_without_shapes_says_so(tmp_path: Path) -> None:
    trace = Trace()
    module(trace, "Net", 1_000, 50_000)
    trace.operator("aten::mm", 11_000, 12_000)
    path = trace.write(tmp_path / "trace.json")
    assert figures(path) == {"Net": (None, None)}
    profile = read(path)["device"]["profiles"][0]
    assert profile["flops_missing"] == "the profile has no shapes: record_shapes=True"


def allocate(
    trace: Trace, time: int, size: int, total: int, tid: int = 4000, kind: int = 1
) -> None:
    trace.add("cpu_instant_event", "[memory]", time, time, trace.pid, tid,
              Bytes=size, Total_Allocated=total, Device_Type=kind, Device_Id=0)  # fmt: skip
    event = trace.events[-1]
    event["ph"] = "i"
    del event["dur"]


def test_memory_belongs_to_the_module_that_runs(tmp_path: Path) -> None:
    trace = Trace()
    module(trace, "Net", 1_000, 50_000)
    module(trace, "Linear", 10_000, 20_000)
    module(trace, "Relu", 30_000, 40_000)
    mm = trace.operator("aten::mm", 11_000, 12_000, **matrix(1), Sequence_number=7)
    trace.kernel("gemm", trace.launch(mm, 11_500), 60_000, 500)
    allocate(trace, 500, 1_000, 1_000)
    allocate(trace, 11_100, 300, 1_300)
    allocate(trace, 11_200, 400, 1_700)
    allocate(trace, 11_300, -300, 1_400)
    allocate(trace, 11_400, 9_999, 9_999, kind=0)  # of the host: a device took part
    allocate(trace, 45_000, 100, 1_500)
    node = {"Sequence_number": 7, "Fwd_thread_id": 1}
    trace.operator(f"{ENGINE}MmBackward0", 60_000, 80_000, 4001, **node)
    allocate(trace, 61_000, -400, 1_100, 4001)
    report = read(trace.write(tmp_path / "trace.json"))
    keys = ("allocated_bytes", "net_bytes", "peak_bytes")
    rows = {
        "/".join(row["classes"]): tuple(row["device"][key] for key in keys)
        for row in report["rows"]
        if row["device"]
    }
    assert rows == {"Net": (800, 100, 1_700), "Net/Linear": (700, 0, 1_700)}
    memory = report["device"]["profiles"][0]["memory"]
    assert memory == {
        "events": 6, "allocated_bytes": 1_800, "net_bytes": 1_100, "peak_bytes": 1_700
    }  # fmt: skip


def test_without_memory_events_nothing_is_said(tmp_path: Path) -> None:
    trace = Trace()
    module(trace, "Net", 1_000, 50_000)
    trace.operator("aten::mm", 11_000, 12_000, **matrix(1))
    report = read(trace.write(tmp_path / "trace.json"))
    [row] = report["rows"]
    assert row["device"]["allocated_bytes"] is row["device"]["peak_bytes"] is None
    assert report["device"]["profiles"][0]["memory"] is None


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A100-SXM4-40GB", "A100-40GB"),
        ("NVIDIA A100 80GB PCIe", "A100-PCIe"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100-PCIe"),
        ("NVIDIA H100 NVL", "H100-NVL"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA H200 NVL", "H200-NVL"),
        ("NVIDIA B200", "B200"),
        ("AMD Instinct MI300X", "MI300X"),
        ("NVIDIA GB200", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("Ascend910B", None),
        ("", None),
    ],
)
def test_the_name_of_a_device_says_its_peak(name: str, peak: str | None) -> None:
    found = find_peak(name)
    assert (found.name if found is not None else None) == peak


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "nan", "1,2,3", "1,", "H1000"])
def test_a_peak_that_cannot_be(text: str) -> None:
    with pytest.raises(UsageError, match="is neither TFLOP/s"):
        parse_peak(text)


def write_busy(path: Path, *devices: str) -> Path:
    """Write a trace with two products, one of them of a known shape, of 2 us each."""
    properties = [{"id": number, "name": name} for number, name in enumerate(devices)]
    trace = Trace(deviceProperties=properties)
    module(trace, "Net", 1_000, 50_000)
    module(trace, "Linear", 10_000, 20_000)
    module(trace, "Other", 30_000, 40_000)
    for start, shapes in ((11_000, matrix(1_000)), (31_000, {})):
        mm = trace.operator("aten::mm", start, start + 1_000, **shapes)
        trace.kernel("gemm", trace.launch(mm, start + 100), 60_000 + start, 2_000)
    nccl = trace.launch(None, 12_500)
    trace.kernel("ncclDevKernel_AllReduce", nccl, 120_000, 9_000)
    return trace.write(path / "trace.json")


def test_the_share_of_the_peak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_busy(tmp_path, "NVIDIA H200", "NVIDIA H200")
    report = read(path)
    [profile] = report["device"]["profiles"]
    assert profile["devices"] == ["NVIDIA H200"]
    assert profile["peak"] == {"name": "H200", "tflops": 989, "gb_per_s": 4_800}
    shares = {
        "/".join(row["classes"]): (row["device"]["peak_share"], row["device"]["operand_gb_per_s"])
        for row in report["rows"]
    }
    # 200,000 operations in 2 us are 0.1 TFLOP/s; communication does not count
    share, rate = shares.pop("Net/Linear")
    assert share == pytest.approx(0.1 / 989)
    assert rate == pytest.approx(4 * (10_000 + 100 + 10_000) / 2_000)
    assert shares == {"Net": (None, None), "Net/Other": (None, None)}

    assert main(["report", str(path), "--peak", "1,2"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert "% of peak" in lines["module"]
    assert " 10.0 " in lines["Linear"]
    assert " >5.0 " in lines["Net"]


def test_a_peak_is_not_guessed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = read(write_busy(tmp_path, "NVIDIA H200", "NVIDIA B200"))
    assert report["device"]["profiles"][0]["peak"] is None
    assert {row["device"]["peak_share"] for row in report["rows"]} == {None}


def test_a_peak_needs_a_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_recording(str(tmp_path / "run"), [(0, "", "Net", 1_000, 2_000)])
    assert main(["report", str(tmp_path / "run"), "--peak", "H100"]) == 2
    assert "needs a profile" in capsys.readouterr().err


def write_replays(path: Path, shapes: dict[str, Any], replays: int = 2) -> Path:
    """Write a trace with a capture of a product and of another kernel, and some replays of it."""
    trace = Trace()
    trace.launch(None, 10_000, name="cudaStreamBeginCapture_v10000")
    module(trace, "Net", 11_000, 40_000)
    module(trace, "Linear", 11_500, 20_000)
    trace.operator("aten::mm", 12_000, 16_000, **shapes)
    trace.launch(None, 12_200, name="cudaStreamIsCapturing_v10000")
    trace.launch(None, 12_500)
    trace.launch(None, 13_000)  # a second kernel of the operator
    trace.operator("aten::relu", 25_000, 27_000)
    trace.launch(None, 26_000)
    trace.launch(None, 50_000, name="cudaStreamEndCapture_v10000")
    trace.operator("aten::empty", 60_000, 61_000)
    for number in range(replays):
        start = 100_000 * (number + 1)
        launch = trace.launch(None, start, name="cudaGraphLaunch_v10000")
        for index in range(3):
            trace.kernel(f"k{index}", launch, start + 1_000 * index + 1_000, 100)
    return trace.write(path / "trace.json")


def test_a_replay_does_the_work_of_its_capture(tmp_path: Path) -> None:
    path = write_replays(tmp_path, matrix(1))
    assert figures(path) == {"Net": (400, None), "Net/Linear": (400, 400)}
    profile = read(path)["device"]["profiles"][0]
    assert (profile["flops"], profile["flops_missing"]) == (400, None)  # not that of the capture


def test_a_capture_alone_does_no_work(tmp_path: Path) -> None:
    path = write_replays(tmp_path, matrix(1), replays=0)
    profile = read(path)["device"]["profiles"][0]
    assert profile["flops"] is None


def test_a_replay_of_unknown_shapes_is_unknown(tmp_path: Path) -> None:
    path = write_replays(tmp_path, {})
    assert figures(path) == {"Net": (None, None), "Net/Linear": (None, None)}


@pytest.mark.parametrize("has_operators", [True, False])
def test_the_capture_of_another_file(tmp_path: Path, has_operators: bool) -> None:
    """Its graph has no product. Without operators in the file that would not be known."""
    capture, trace = Trace(), Trace()
    capture.launch(None, 10_000, name="cudaStreamBeginCapture_v10000")
    module(capture, "Net", 11_000, 40_000)
    if has_operators:
        capture.operator("aten::relu", 12_000, 16_000)
    capture.launch(None, 12_500)
    capture.launch(None, 50_000, name="cudaStreamEndCapture_v10000")
    capture.write(tmp_path / "capture.json")
    module(trace, "Net", 11_000, 40_000)
    trace.operator("aten::mm", 12_000, 16_000, **matrix(1))
    launch = trace.launch(None, 100_000, name="cudaGraphLaunch_v10000")
    trace.kernel("relu", launch, 110_000, 100)
    report = read(trace.write(tmp_path / "trace.json"), tmp_path / "capture.json")
    rows = {
        (row["calls"], row["device"]["flops"], row["device"]["kernels"])
        for row in report["rows"]
        if row["device"]
    }
    # the row of the calls, and that of the replay
    assert rows == {(1, 200, 0), (0, None, 1)}
    profile = report["device"]["profiles"][0]
    assert profile["flops"] == (200 if has_operators else None)
