"""What profiler control patches, as data.

`make compat` looks every row up in the releases that it claims (docs/internals/compatibility.md).
"""

from __future__ import annotations

from typing import NamedTuple


class PatchedName(NamedTuple):
    """A function that is wrapped: `module:qualname` of `package`.

    It exists from `first_release` until the release before `end_release`. "" means no known bound.
    """

    package: str
    module: str
    qualname: str
    use: str  # selects the rows of one patch
    kind: str = "sync"  # or async
    first_release: str = ""
    end_release: str = ""


# Fields of vLLM's configuration that make a profiler start later or stop earlier than it is asked
# to.
BOUNDS = ("delay_iterations", "max_iterations", "wait_iterations", "warmup_iterations")
ROWS = (
    # The profiler without a flag (vllm/enable.py).
    PatchedName("vllm", "vllm.engine.arg_utils", "EngineArgs.create_engine_config", "config"),
    PatchedName(
        "vllm",
        "vllm.entrypoints.serve.profile.api_router",
        "attach_router",
        "routes",
        first_release="0.13.0",
    ),
    # Before 0.12, the variable does not influence the compile cache.
    PatchedName(
        "vllm",
        "vllm.envs",
        "compile_factors",
        "environment",
        first_release="0.12.0",
        end_release="0.16.0",
    ),
    # Start and stop, in every process (vllm/watch.py).
    PatchedName("vllm", "vllm.v1.engine.core", "EngineCore.profile", "engine"),
    PatchedName("vllm", "vllm.v1.engine.llm_engine", "LLMEngine.start_profile", "frontend start"),
    PatchedName("vllm", "vllm.v1.engine.llm_engine", "LLMEngine.stop_profile", "frontend stop"),
    PatchedName(
        "vllm", "vllm.v1.engine.async_llm", "AsyncLLM.start_profile", "frontend start", kind="async"
    ),
    PatchedName(
        "vllm", "vllm.v1.engine.async_llm", "AsyncLLM.stop_profile", "frontend stop", kind="async"
    ),
    PatchedName(
        "vllm",
        "vllm.profiler.gpu_profiler",
        "WorkerProfiler._call_start",
        "worker start",
        first_release="0.12.0",
        end_release="0.13.0",
    ),
    PatchedName(
        "vllm",
        "vllm.profiler.gpu_profiler",
        "WorkerProfiler._call_stop",
        "worker stop",
        first_release="0.12.0",
        end_release="0.13.0",
    ),
    PatchedName(
        "vllm",
        "vllm.profiler.wrapper",
        "WorkerProfiler._call_start",
        "worker start",
        first_release="0.13.0",
    ),
    PatchedName(
        "vllm",
        "vllm.profiler.wrapper",
        "WorkerProfiler._call_stop",
        "worker stop",
        first_release="0.13.0",
    ),
    PatchedName("torch", "torch.cuda.profiler", "start", "cuda start"),
    PatchedName("torch", "torch.cuda.profiler", "stop", "cuda stop"),
    # Capture (vllm/capture.py): a Worker that was made shows the class that is really used.
    PatchedName(
        "vllm",
        "vllm.worker.worker_base",
        "WorkerWrapperBase.init_worker",
        "worker made",
        end_release="0.11.1",
    ),
    PatchedName(
        "vllm",
        "vllm.v1.worker.worker_base",
        "WorkerWrapperBase.init_worker",
        "worker made",
        first_release="0.11.1",
    ),
    # These are patched on the class of the Worker that was made, not by this name.
    PatchedName("vllm", "vllm.v1.worker.gpu_worker", "Worker.compile_or_warm_up_model", "captured"),
    PatchedName("vllm", "vllm.v1.worker.gpu_worker", "Worker.profile", "captured"),
    PatchedName(
        "vllm", "vllm.v1.worker.cpu_worker", "CPUWorker.compile_or_warm_up_model", "captured"
    ),
    PatchedName(
        "vllm", "vllm.v1.worker.cpu_worker", "CPUWorker.determine_available_memory", "captured"
    ),
    PatchedName("vllm", "vllm.v1.worker.cpu_worker", "CPUWorker.profile", "captured"),
    PatchedName(
        "vllm_ascend",
        "vllm_ascend.worker.worker_v1",
        "NPUWorker.compile_or_warm_up_model",
        "captured",
        end_release="0.13.0",
    ),
    PatchedName(
        "vllm_ascend",
        "vllm_ascend.worker.worker",
        "NPUWorker.compile_or_warm_up_model",
        "captured",
        first_release="0.13.0",
    ),
    # Parameters (torch/settings.py).
    PatchedName("torch", "torch.profiler.profiler", "profile.__init__", "parameters"),
    # torch_npu (npu/config_settings.py, npu/profile_settings.py, npu/watch.py). Post releases of
    # 2.1 have what later minor releases have, so no row claims 2.1.
    PatchedName(
        "torch_npu",
        "torch_npu.profiler.experimental_config",
        "_ExperimentalConfig.__init__",
        "npu parameters",
    ),
    PatchedName("torch_npu", "torch_npu.profiler.profiler", "profile.__init__", "npu parameters"),
    PatchedName(
        "torch_npu", "torch_npu.profiler.profiler", "_KinetoProfile.__init__", "npu parameters"
    ),
    PatchedName(
        "torch_npu",
        "torch_npu.profiler.profiler_interface",
        "_ProfInterface.start_trace",
        "npu start",
        first_release="2.4.0",
    ),
    PatchedName(
        "torch_npu",
        "torch_npu.profiler.profiler_interface",
        "_ProfInterface.stop_trace",
        "npu stop",
        first_release="2.4.0",
    ),
    # Start and stop of torch's profilers (torch/watch.py).
    PatchedName("torch", "torch.autograd.profiler", "profile._start_trace", "tracers"),
    PatchedName("torch", "torch.autograd.profiler", "profile.__exit__", "tracers"),
    PatchedName("torch", "torch.autograd.profiler", "emit_nvtx.__enter__", "tracers"),
    PatchedName("torch", "torch.autograd.profiler", "emit_nvtx.__exit__", "tracers"),
    PatchedName("torch", "torch.autograd.profiler", "emit_itt.__enter__", "tracers"),
    PatchedName("torch", "torch.autograd.profiler", "emit_itt.__exit__", "tracers"),
)


def select_rows(use: str) -> tuple[PatchedName, ...]:
    """Return the rows of one use."""
    return tuple(row for row in ROWS if row.use == use)
