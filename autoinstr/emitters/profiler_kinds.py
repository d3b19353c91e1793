"""The kinds of profilers that the agent knows, as words.

An emitter's policy names the kinds that read its ranges. `instrument/profilers/key.py` has the key
of one running profiler, which begins with its kind.
"""

from __future__ import annotations

TORCH = "torch"  # torch.autograd.profiler, and torch.profiler through it
TORCH_NPU = "torch_npu"
TORCH_NPU_WITHOUT_MSTX = "torch_npu_without_mstx"  # a profiler of torch_npu that collects no ranges
MSPROF = "msprof"  # CANN's command line, which started this process
MSPROF_WITHOUT_MSTX = "msprof_without_mstx"
MSPTI = "mspti"  # CANN's library for other profilers, preloaded or started by its Python monitor
ENGINE = "engine"  # an engine has announced a profile of its Worker, which may be another process
VLLM_WORKER = "worker"  # a Worker's profiler in this process that is not torch's
CUDA = "cuda"  # torch.cuda.profiler.start

# These profilers collect mstx ranges. An open range must end before such a profiler stops.
MSTX_COLLECTORS = frozenset((TORCH_NPU, MSPROF, MSPTI))
# A forked child does not have these profilers: it could only write into its parent's session.
NOT_INHERITED = frozenset((TORCH_NPU, TORCH_NPU_WITHOUT_MSTX))
