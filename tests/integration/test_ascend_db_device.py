"""`--format ascend-db` of a trace with a device, read by the real msprof-analyze.

The trace is made by hand in the shape of Kineto's CUDA traces, because no GPU was available. The
tests do not prove that the trace of a real GPU has this shape.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO, Python
from tests.npu import exported, simulated
from tests.support.kineto import Trace
from tests.support.recordings import Call, make_recording, set_clock

pytestmark = pytest.mark.peers
US = 1_000
CLOCK = 5_000_000_000  # of the recording, at the trace's base
MODULES: list[Call] = [
    (0, "", "Model", 100, 900),
    (0, "embed", "Embedding", 110, 200),
    (0, "layer", "Layer", 210, 800),
    (0, "layer.up", "Linear", 220, 300),
    (0, "layer.down", "Linear", 400, 500),
]


def report(cwd: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return Python(sys.executable, cwd).run(
        "-m", "autoinstr", "report", *map(str, words), on=None, path=(REPO,)
    )


def record(
    folder: Path,
    calls: list[Call],
    trace: Trace,
    pid: int = 1000,
    header: dict[str, object] | None = None,
) -> Path:
    """Write a run with the trace's clock; times of the calls are microseconds."""
    moved = [
        (thread, path, cls, CLOCK + start * US, None if end is None else CLOCK + end * US)
        for thread, path, cls, start, end in calls
    ]
    set_clock(make_recording(str(folder), moved, pid=pid, header=header), trace.base, CLOCK)
    return folder


def cuda() -> Trace:
    """Return the trace of one step: copies, kernels of modules, a collective, a graph, and work
    outside all modules. Kernels run later than their launches.
    """
    trace = Trace(deviceProperties=[{"id": 0, "name": "NVIDIA H100"}])
    trace.operator("aten::to", 20 * US, 80 * US)
    inner = trace.operator("aten::copy_", 25 * US, 75 * US)
    to_device = trace.launch(inner, 30 * US, name="cudaMemcpyAsync")
    trace.kernel(
        "Memcpy HtoD (Pageable -> Device)", to_device, 40 * US, 5_000, "gpu_memcpy", bytes=64
    )
    embedding = trace.operator("aten::embedding", 120 * US, 180 * US)
    trace.kernel("indexSelect", trace.launch(embedding, 130 * US), 1000 * US, 2_500)
    for start, kernel_at, ns in ((230, 1100, 10_001), (410, 1300, 20_002)):
        trace.operator("aten::linear", start * US, (start + 60) * US)
        addmm = trace.operator("aten::addmm", (start + 5) * US, (start + 55) * US)
        trace.kernel(
            "ampere_sgemm_32x128", trace.launch(addmm, (start + 10) * US), kernel_at * US, ns
        )
        trace.kernel(
            "splitKreduce", trace.launch(addmm, (start + 20) * US), (kernel_at + 50) * US, 700
        )
    copied = trace.operator("aten::clone", 310 * US, 390 * US)
    trace.kernel(
        "Memcpy DtoD (Device -> Device)",
        trace.launch(copied, 320 * US, name="cudaMemcpyAsync"),
        1400 * US,
        3_000,
        "gpu_memcpy",
    )
    trace.kernel(
        "Memset (Device)",
        trace.launch(copied, 340 * US, name="cudaMemsetAsync"),
        1450 * US,
        1_000,
        "gpu_memset",
    )
    trace.operator("c10d::allreduce_", 600 * US, 700 * US)
    params = trace.operator("record_param_comms", 610 * US, 690 * US, Collective_name="allreduce")
    told = {
        "Collective_name": "allreduce",
        "In_msg_nelems": 4096,
        "dtype": "Float",
        "Process_Group_Name": "tp",
    }
    trace.kernel(
        "ncclDevKernel_AllReduce_Sum_f32_RING_LL",
        trace.launch(params, 650 * US),
        1500 * US,
        30_000,
        **told,
    )
    graph = trace.launch(
        None, 850 * US, name="cudaGraphLaunch"
    )  # a model's method calls it; no operator does
    for at in range(3):
        trace.kernel("replayed", graph, (1600 + 10 * at) * US, 4_000)
    trace.launch(None, 860 * US, name="cudaDeviceSynchronize")
    last = trace.operator("aten::argmax", 910 * US, 950 * US)
    trace.kernel(
        "reduce",
        trace.launch(last, 920 * US, name="cuLaunchKernelEx", cat="cuda_driver"),
        1700 * US,
        6_000,
    )
    trace.add("gpu_user_annotation", "step", 1000 * US, 1700 * US, 0, 7)
    trace.add("user_annotation", "ProfilerStep#3", 10 * US, 990 * US, trace.pid, 4000)
    trace.add("Trace", "PyTorch Profiler (0)", 0, 2000 * US, "Spans", "PyTorch Profiler")
    return trace


class Exported:
    """The output of the command for a run and a trace."""

    def __init__(self, folder: Path, calls: list[Call], trace: Trace) -> None:
        run = record(folder / "run", calls, trace)
        self.out = folder / "out"
        self.done = report(
            folder,
            run,
            "--format",
            "ascend-db",
            "--kineto",
            trace.write(folder / "trace.json"),
            "-o",
            self.out,
        )
        assert self.done.returncode == 0, self.done.stderr
        [self.database] = self.out.glob(
            "*_ascend_pt/ASCEND_PROFILER_OUTPUT/ascend_pytorch_profiler_0.db"
        )

    def table(self) -> list[tuple[str, str, str, float, int]]:
        """Return (module, operator, kernels, device time, calls) of module_statistic."""
        try:
            out = exported.module_statistic(self.out, self.out.parent / "statistic")
        except simulated.Unavailable as missing:
            pytest.skip(str(missing))
        query = """SELECT parentModule, module, opName, kernelList, `totalKernelDuration(ns)`,
            opCount FROM ModuleStatistic"""
        found = exported.rows(out / "cluster_analysis.db", query)
        return sorted(("/".join(filter(None, row[:2])), *row[2:]) for row in found)


@pytest.fixture(scope="module")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("gpu"), MODULES, cuda())


def test_device_time_of_each_module_is_that_of_the_kernels_that_its_operators_launched(
    gpu: Exported,
) -> None:
    gemm = "ampere_sgemm_32x128, splitKreduce"
    assert gpu.table() == [
        ("Model/Embedding", "aten::embedding", "indexSelect", 2_500, 1),
        ("Model/Layer", "aten::clone", "Memcpy DtoD (Device -> Device), Memset (Device)", 4_000, 1),
        ("Model/Layer", "record_param_comms", "allreduce", 30_000, 1),
        ("Model/Layer/Linear", "aten::addmm", gemm, 10_001 + 20_002 + 2 * 700, 2),
    ]


def test_everything_that_ran_is_there_with_its_kind_device_stream_and_link(gpu: Exported) -> None:
    query = """SELECT n.value, k.value, t.endNs - t.startNs, t.deviceId, t.streamId, o.value
        FROM TASK t LEFT JOIN COMPUTE_TASK_INFO i USING (globalTaskId)
        LEFT JOIN STRING_IDS n ON n.id = i.name JOIN STRING_IDS k ON k.id = t.taskType
        LEFT JOIN CONNECTION_IDS c ON c.connectionId = t.connectionId
        LEFT JOIN PYTORCH_API a ON a.connectionId = c.id LEFT JOIN STRING_IDS o ON o.id = a.name
        ORDER BY t.startNs"""
    tasks = exported.rows(gpu.database, query)
    assert {(device, stream) for _, _, _, device, stream, _ in tasks} == {(0, 7)}
    assert [(name, kind, ns, operator) for name, kind, ns, _, _, operator in tasks] == [
        ("Memcpy HtoD (Pageable -> Device)", "gpu_memcpy", 5_000, "aten::copy_"),
        ("indexSelect", "kernel", 2_500, "aten::embedding"),
        ("ampere_sgemm_32x128", "kernel", 10_001, "aten::addmm"),
        ("splitKreduce", "kernel", 700, "aten::addmm"),
        ("ampere_sgemm_32x128", "kernel", 20_002, "aten::addmm"),
        ("splitKreduce", "kernel", 700, "aten::addmm"),
        ("Memcpy DtoD (Device -> Device)", "gpu_memcpy", 3_000, "aten::clone"),
        ("Memset (Device)", "gpu_memset", 1_000, "aten::clone"),
        (None, "kernel", 30_000, "record_param_comms"),
        *[("replayed", "kernel", 4_000, None)] * 3,
        ("reduce", "kernel", 6_000, "aten::argmax"),
    ]
    assert "13 kernels, 10 linked" in gpu.done.stderr
    assert (
        "3 kernels without an operator: launched outside all operators, or by a graph"
        in gpu.done.stderr
    )
    assert "cpu_op" not in gpu.done.stderr


def test_a_collective_is_named_as_the_trace_names_it(gpu: Exported) -> None:
    query = """SELECT n.value, t.value, g.value, d.value, c.count, c.endNs - c.startNs, c.deviceId
        FROM COMMUNICATION_OP c JOIN STRING_IDS n ON n.id = c.opName
        JOIN STRING_IDS t ON t.id = c.opType JOIN STRING_IDS g ON g.id = c.groupName
        JOIN STRING_IDS d ON d.id = c.dataType"""
    assert exported.rows(gpu.database, query) == [
        ("ncclDevKernel_AllReduce_Sum_f32_RING_LL", "allreduce", "tp", "Float", 4096, 30_000, 0)
    ]


def test_launches_steps_and_the_device_of_the_rank_are_told(gpu: Exported) -> None:
    query = """SELECT n.value, a.type FROM CANN_API a JOIN STRING_IDS n ON n.id = a.name
        ORDER BY a.startNs"""
    calls = exported.rows(gpu.database, query)
    assert len(calls) == 12 and {kind for _, kind in calls} == {5000}
    assert ("cudaGraphLaunch", 5000) in calls and ("cuLaunchKernelEx", 5000) in calls
    base = Trace().base
    assert exported.rows(gpu.database, "SELECT id, endNs - startNs FROM STEP_TIME") == [
        (3, 980 * US)
    ]
    assert exported.rows(gpu.database, "SELECT * FROM RANK_DEVICE_MAP") == [(0, 0)]
    [(first, last)] = exported.rows(gpu.database, "SELECT * FROM SESSION_TIME_INFO")
    assert last - first == 2000 * US and abs(first - base) <= 250 * US


def test_calls_of_runtime_and_driver_with_one_number_are_one_link(tmp_path: Path) -> None:
    """Two links would double the kernel and read as forward and backward."""
    trace = Trace()
    operator = trace.operator("aten::mm", 120 * US, 180 * US)
    correlation = trace.launch(operator, 130 * US)
    within = {"External_id": operator, "correlation": correlation}
    trace.add("cuda_driver", "cuLaunchKernel", 130_500, 131_000, trace.pid, 4000, **within)
    trace.kernel("gemm", correlation, 300 * US, 5_000)
    made = Exported(tmp_path, [(0, "", "Model", 100, 200)], trace)
    assert made.table() == [("Model", "aten::mm", "gemm", 5_000, 1)]


def test_without_numbers_of_operators_the_innermost_around_the_launch_is_taken(
    tmp_path: Path,
) -> None:
    """Traces of older torch have no External id at a launch."""
    trace = Trace()
    trace.operator("aten::linear", 110 * US, 180 * US)
    trace.operator("aten::addmm", 115 * US, 175 * US)
    trace.kernel("gemm", trace.launch(None, 120 * US), 300 * US, 5_000)
    made = Exported(tmp_path, [(0, "", "Model", 100, 200)], trace)
    assert made.table() == [("Model", "aten::addmm", "gemm", 5_000, 1)]


def test_a_thread_beside_the_modules_is_not_counted_for_them(tmp_path: Path) -> None:
    """module_statistic ignores threads: another thread's operator would count for the module or end
    it.
    """
    trace = Trace()
    for name, start, end, tid in (
        ("aten::mm", 120, 150, 4000),
        ("aten::other", 130, 400, 4001),
        ("aten::add", 160, 190, 4000),
    ):
        operator = trace.operator(name, start * US, end * US, tid)
        trace.kernel(
            f"k_{name}", trace.launch(operator, (start + 5) * US, tid), start * 10 * US, 1_000
        )
    calls: list[Call] = [
        (0, "", "Model", 100, 300),
        (0, "a", "Linear", 110, 155),
        (0, "b", "Linear", 158, 200),
    ]
    made = Exported(tmp_path, calls, trace)
    assert made.table() == [
        ("Model/Linear_0", "aten::mm", "k_aten::mm", 1_000, 1),
        ("Model/Linear_1", "aten::add", "k_aten::add", 1_000, 1),
    ]
    assert (
        "1 operator without a link: running on another thread than the modules of that time"
        in made.done.stderr
    )


def test_threads_that_call_modules_at_once_have_domains_of_their_own(tmp_path: Path) -> None:
    trace = Trace()
    trace.kernel(
        "k", trace.launch(trace.operator("aten::mm", 120 * US, 150 * US), 125 * US), 500 * US, 1_000
    )
    calls: list[Call] = [
        (0, "", "Model", 100, 300),
        (0, "a", "Linear", 110, 155),
        (0, "", "Model", 700, 750),
        (1, "", "Model", 140, 310),
        (1, "a", "Linear", 145, 150),
        (1, "", "Model", 400, 450),
        (2, "", "Model", 320, 330),
    ]
    trace.add("Trace", "PyTorch Profiler (0)", 0, 800 * US, "Spans", "PyTorch Profiler")
    made = Exported(tmp_path, calls, trace)
    query = """SELECT d.value, (e.globalTid & 4294967295) - 4000, m.value FROM MSTX_EVENTS e
        JOIN STRING_IDS d ON d.id = e.domainId JOIN STRING_IDS m ON m.id = e.message
        ORDER BY e.startNs"""
    assert exported.rows(made.database, query) == [
        ("Module", 0, "Model"),
        ("Module", 0, "Linear"),
        ("thread-1:Module", 1, "Model"),
        ("thread-1:Module", 1, "Linear"),
        ("Module", 2, "Model"),
        ("Module", 1, "Model"),
        ("Module", 0, "Model"),
    ]
    assert made.table() == [("Model/Linear", "aten::mm", "k", 1_000, 1)]
    assert "1 more thread called modules at the same time" in made.done.stderr
