"""What profiler control patches, as data: `make compat` looks every row up in the releases that it
claims (docs/internals/compatibility.md)."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """`module:qualname` of `package` is wrapped; present from release `since` on and before
    `before` ("" is no bound known)."""

    package: str
    module: str
    qualname: str
    kind: str  # sync | async
    since: str
    before: str
    use: str  # the name by which the code asks for its rows


# What makes a profiler start later than it is told to, or stop earlier: fields of vLLM's
# configuration.
BOUNDS = ("delay_iterations", "max_iterations", "wait_iterations", "warmup_iterations")
ROWS = (
    # The profiler without a flag (enable.py).
    Row(
        "vllm", "vllm.engine.arg_utils", "EngineArgs.create_engine_config", "sync", "", "", "config"
    ),
    Row(
        "vllm",
        "vllm.entrypoints.serve.profile.api_router",
        "attach_router",
        "sync",
        "0.13.0",
        "",
        "routes",
    ),
    Row(
        "vllm", "vllm.envs", "compile_factors", "sync", "0.12.0", "0.16.0", "environment"
    ),  # before it, the variable was no factor
    # Start and stop, in every process (observe.py).
    Row("vllm", "vllm.v1.engine.core", "EngineCore.profile", "sync", "", "", "engine"),
    Row(
        "vllm",
        "vllm.v1.engine.llm_engine",
        "LLMEngine.start_profile",
        "sync",
        "",
        "",
        "frontend start",
    ),
    Row(
        "vllm",
        "vllm.v1.engine.llm_engine",
        "LLMEngine.stop_profile",
        "sync",
        "",
        "",
        "frontend stop",
    ),
    Row(
        "vllm",
        "vllm.v1.engine.async_llm",
        "AsyncLLM.start_profile",
        "async",
        "",
        "",
        "frontend start",
    ),
    Row(
        "vllm",
        "vllm.v1.engine.async_llm",
        "AsyncLLM.stop_profile",
        "async",
        "",
        "",
        "frontend stop",
    ),
    Row(
        "vllm",
        "vllm.profiler.gpu_profiler",
        "WorkerProfiler._call_start",
        "sync",
        "0.12.0",
        "0.13.0",
        "worker start",
    ),
    Row(
        "vllm",
        "vllm.profiler.gpu_profiler",
        "WorkerProfiler._call_stop",
        "sync",
        "0.12.0",
        "0.13.0",
        "worker stop",
    ),
    Row(
        "vllm",
        "vllm.profiler.wrapper",
        "WorkerProfiler._call_start",
        "sync",
        "0.13.0",
        "",
        "worker start",
    ),
    Row(
        "vllm",
        "vllm.profiler.wrapper",
        "WorkerProfiler._call_stop",
        "sync",
        "0.13.0",
        "",
        "worker stop",
    ),
    Row("torch", "torch.cuda.profiler", "start", "sync", "", "", "cuda start"),
    Row("torch", "torch.cuda.profiler", "stop", "sync", "", "", "cuda stop"),
    # Capture (capture.py): the worker class really used is found when it has been made.
    Row(
        "vllm",
        "vllm.worker.worker_base",
        "WorkerWrapperBase.init_worker",
        "sync",
        "",
        "0.11.1",
        "worker made",
    ),
    Row(
        "vllm",
        "vllm.v1.worker.worker_base",
        "WorkerWrapperBase.init_worker",
        "sync",
        "0.11.1",
        "",
        "worker made",
    ),
    # Called, not patched as such: on the class of the worker that was made.
    Row(
        "vllm",
        "vllm.v1.worker.gpu_worker",
        "Worker.compile_or_warm_up_model",
        "sync",
        "",
        "",
        "captured",
    ),
    Row("vllm", "vllm.v1.worker.gpu_worker", "Worker.profile", "sync", "", "", "captured"),
    Row(
        "vllm",
        "vllm.v1.worker.cpu_worker",
        "CPUWorker.compile_or_warm_up_model",
        "sync",
        "",
        "",
        "captured",
    ),
    Row(
        "vllm",
        "vllm.v1.worker.cpu_worker",
        "CPUWorker.determine_available_memory",
        "sync",
        "",
        "",
        "captured",
    ),
    Row("vllm", "vllm.v1.worker.cpu_worker", "CPUWorker.profile", "sync", "", "", "captured"),
    Row(
        "vllm_ascend",
        "vllm_ascend.worker.worker_v1",
        "NPUWorker.compile_or_warm_up_model",
        "sync",
        "",
        "0.13.0",
        "captured",
    ),
    Row(
        "vllm_ascend",
        "vllm_ascend.worker.worker",
        "NPUWorker.compile_or_warm_up_model",
        "sync",
        "0.13.0",
        "",
        "captured",
    ),
    # Parameters (torch_profiler.py).
    Row("torch", "torch.profiler.profiler", "profile.__init__", "sync", "", "", "parameters"),
    # npu_config.py, npu_profile.py, npu_observe.py. Post releases of 2.1 have what later minors
    # have, so no row claims 2.1.
    Row(
        "torch_npu",
        "torch_npu.profiler.experimental_config",
        "_ExperimentalConfig.__init__",
        "sync",
        "",
        "",
        "npu parameters",
    ),
    Row(
        "torch_npu",
        "torch_npu.profiler.profiler",
        "profile.__init__",
        "sync",
        "",
        "",
        "npu parameters",
    ),
    Row(
        "torch_npu",
        "torch_npu.profiler.profiler",
        "_KinetoProfile.__init__",
        "sync",
        "",
        "",
        "npu parameters",
    ),
    Row(
        "torch_npu",
        "torch_npu.profiler.profiler_interface",
        "_ProfInterface.start_trace",
        "sync",
        "2.4.0",
        "",
        "npu start",
    ),
    Row(
        "torch_npu",
        "torch_npu.profiler.profiler_interface",
        "_ProfInterface.stop_trace",
        "sync",
        "2.4.0",
        "",
        "npu stop",
    ),
    # tracers.py
    Row("torch", "torch.autograd.profiler", "profile._start_trace", "sync", "", "", "tracers"),
    Row("torch", "torch.autograd.profiler", "profile.__exit__", "sync", "", "", "tracers"),
    Row("torch", "torch.autograd.profiler", "emit_nvtx.__enter__", "sync", "", "", "tracers"),
    Row("torch", "torch.autograd.profiler", "emit_nvtx.__exit__", "sync", "", "", "tracers"),
    Row("torch", "torch.autograd.profiler", "emit_itt.__enter__", "sync", "", "", "tracers"),
    Row("torch", "torch.autograd.profiler", "emit_itt.__exit__", "sync", "", "", "tracers"),
)


def rows(use: str) -> tuple[Row, ...]:
    """The rows of one use."""
    return tuple(row for row in ROWS if row.use == use)
