"""A vLLM plugin (vllm.general_plugins), so that tests have a truth of their own: how often the
model's forward functions ran.

Copied into a folder on PYTHONPATH by engines.py. Knows nothing of autoinstr, and is the same with
and without it."""

import functools
import mmap
import multiprocessing
import os

COUNTED = ("Qwen2ForCausalLM", "Qwen2DecoderLayer")


def count():
    """In the process that runs the model: two 8-byte counters in the file $TESTS_COUNTS/<pid>,
    mapped, so that a SIGKILL loses nothing. Releases of vLLM differ in which process it is."""
    if multiprocessing.current_process().name == "MainProcess":
        return
    from vllm.model_executor.models import qwen2

    for index, name in enumerate(COUNTED):
        _count(getattr(qwen2, name), index)


@functools.cache
def open_counters():
    path = os.path.join(os.environ["TESTS_COUNTS"], str(os.getpid()))
    with open(path, "wb") as stream:
        stream.truncate(8 * len(COUNTED))
    with open(path, "r+b") as stream:
        return memoryview(mmap.mmap(stream.fileno(), 8 * len(COUNTED))).cast("Q")


def _count(cls, index):
    original = cls.forward
    if hasattr(original, "counts"):  # a Worker forked from an EngineCore that had loaded plugins
        return

    @functools.wraps(original)
    def forward(*args, **kwargs):
        open_counters()[index] += 1
        return original(*args, **kwargs)

    forward.counts = True
    cls.forward = forward


def piecewise():
    """Everywhere: vLLM's own compilation (VLLM_COMPILE, with its cache), from which the CPU
    platform falls back to a simpler one."""
    from vllm.config import CompilationMode
    from vllm.platforms.cpu import CpuPlatform

    define_missing_operators()
    original = CpuPlatform.check_and_update_config.__func__

    def check_and_update_config(cls, vllm_config):
        wanted = vllm_config.compilation_config.mode
        original(cls, vllm_config)
        if wanted == CompilationMode.VLLM_COMPILE:
            vllm_config.compilation_config.mode = wanted
            # that platform leaves it None, which vLLM's own backend does not take
            vllm_config.compilation_config.compile_sizes = []

    CpuPlatform.check_and_update_config = classmethod(check_and_update_config)


def fork():
    """In the main process: its children are forked, as vLLM does it on accelerators. The CPU
    platform has them spawned, and each imports vLLM again, which takes ten seconds."""
    from vllm.platforms.cpu import CpuPlatform

    original = CpuPlatform.check_and_update_config.__func__

    def check_and_update_config(cls, vllm_config):
        original(cls, vllm_config)
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"

    CpuPlatform.check_and_update_config = classmethod(check_and_update_config)


# Named by vLLM 0.32's compilation passes, absent from the library that it loads on processors with
# AVX512-BF16 (those with AMX among them).
OPERATORS = (
    "fused_add_rms_norm_static_fp8_quant",
    "fused_qk_norm_rope",
    "rms_norm_dynamic_per_token_quant",
    "rms_norm_static_fp8_quant",
    "silu_and_mul_quant",
)
definitions = []  # keeps the library fragment alive, and with it the operators


def define_missing_operators():
    """Define the operators that vLLM's passes name and this processor's kernel library lacks.

    A definition without an implementation is enough: no graph of a CPU model calls them."""
    import torch
    import vllm._custom_ops  # noqa: F401  loads the kernels of this processor

    fragment = torch.library.Library("_C", "FRAGMENT")
    for name in OPERATORS:
        if not hasattr(torch.ops._C, name):
            fragment.define(f"{name}() -> ()")
    definitions.append(fragment)
