"""A vLLM plugin (vllm.general_plugins) that marks the warm-up of the CPU platform in torch's
traces. Knows nothing of autoinstr."""

import functools
import multiprocessing
import os


def warm():
    """In the Worker, or in the process from which it is forked."""
    forked = "fork" in os.environ["VLLM_PLUGINS"].split(",")
    if not forked and not multiprocessing.current_process().name.startswith("VllmWorker"):
        return
    import torch
    from vllm.v1.worker.cpu_model_runner import CPUModelRunner

    original = CPUModelRunner.warming_up_model

    @functools.wraps(original)
    def warming_up_model(self):
        with torch.profiler.record_function("tests: warm-up"):
            return original(self)

    CPUModelRunner.warming_up_model = warming_up_model
