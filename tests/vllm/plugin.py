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
    """In the Worker: two 8-byte counters in the file $TESTS_COUNTS/<pid>, mapped, so that a SIGKILL
    loses nothing."""
    if not multiprocessing.current_process().name.startswith("VllmWorker"):
        return
    from vllm.model_executor.models import qwen2

    path = os.path.join(os.environ["TESTS_COUNTS"], str(os.getpid()))
    with open(path, "wb") as stream:
        stream.truncate(8 * len(COUNTED))
    with open(path, "r+b") as stream:
        words = memoryview(mmap.mmap(stream.fileno(), 8 * len(COUNTED))).cast("Q")
    for index, name in enumerate(COUNTED):
        _count(getattr(qwen2, name), words, index)


def _count(cls, words, index):
    original = cls.forward

    @functools.wraps(original)
    def forward(*args, **kwargs):
        words[index] += 1
        return original(*args, **kwargs)

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
