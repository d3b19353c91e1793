"""The targets that belong to a step: of an engine, or of a training loop.

The names are those of the tables beside this file. The instrumentation counts steps by them and
gives their ranges a device stream; the reports find the parts of a step by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoinstr.targets.rows import Target

# The domains of the ranges and marks of engine steps and requests.
SERVING_DOMAINS = frozenset(("vllm", "sglang"))
OPTIMIZER_STEP = "optim.step"

# The kinds of parts of an engine step. A launch begins a step whose scheduling is not seen: SGLang
# schedules in each turn of a loop that never waits.
SCHEDULE, LAUNCH, UPDATE, EXECUTE, SAMPLE = "schedule", "launch", "update", "execute", "sample"
STARTING_KINDS = (SCHEDULE, LAUNCH)

# The phases of training, in the order of a step.
DATA, FORWARD, BACKWARD, RECOMPUTE, OPTIMIZER = (
    "data",
    "forward",
    "backward",
    "recompute",
    "optimizer",
)
# The phases of a step of reinforcement learning, in its order. Within TRAINING come those above.
RL_PHASES = (ROLLOUT, LOG_PROB, REFERENCE, VALUES, REWARD, TRAINING, WEIGHT_SYNC) = (
    "rollout",
    "log_prob",
    "reference",
    "values",
    "reward",
    "training",
    "weight_sync",
)
# The phases of diffusion: of the text, of the loop around the model, of images and latents.
ENCODE, DENOISE, VAE = "encode", "denoise", "vae"
# The name of a target of torch -> the phase of its calls.
TRAINING_PHASES = {
    "data.iter": DATA,
    "data.fetch": DATA,
    "backward": BACKWARD,
    "autograd.grad": BACKWARD,
    OPTIMIZER_STEP: OPTIMIZER,
    "optim.zero_grad": OPTIMIZER,
    "optim.clip_grad_norm": OPTIMIZER,
    "amp.unscale": OPTIMIZER,
    "amp.step": OPTIMIZER,
    "amp.update": OPTIMIZER,
}

# Schedulers of vllm-ascend. Some replace vLLM's scheduler, others call it.
_ASCEND_SCHEDULERS = (
    "ascend",
    "recompute",
    "dynamic_batch",
    "profiling_chunk",
    "batch_job",
    "balance",
    "kv_delivery",
    "dyntra_lb",
)
# vLLM's worker, and its two model runners: `runner2` is the newer one, in vllm.v1.worker.gpu.
_MODEL_CALLERS = tuple(
    f"{prefix}{name}" for prefix in ("", "npu.") for name in ("worker", "runner", "runner2")
)

# The name of a target that is a part of an engine step -> the kind of the part.
PART_KINDS = {
    "sched.schedule": SCHEDULE,
    **{f"npu.sched.{name}": SCHEDULE for name in _ASCEND_SCHEDULERS},
    "sched.update_from_output": UPDATE,
    **{f"npu.sched.{name}_update": UPDATE for name in _ASCEND_SCHEDULERS},
    **{f"{name}.execute_model": EXECUTE for name in _MODEL_CALLERS},
    **{f"{name}.sample_tokens": SAMPLE for name in _MODEL_CALLERS},
    "sgl.run_batch": LAUNCH,
    "sgl.process_result": UPDATE,
}

# Targets whose end is the end of a step, the most reliable group first. A process may have several:
# on one card Worker and EngineCore are one process. Then only the first of its groups counts.
STEP_TARGETS: tuple[tuple[str, ...], ...] = (
    (
        *(f"{name}.execute_model" for name in _MODEL_CALLERS if "runner" in name),
        "sgl.run_batch",
    ),
    (
        "exec.execute_model",
        "exec.execute_model.mp",
        "exec.execute_model.uni",
        "exec.execute_model.ray",
    ),
    ("output.process",),
)

# Targets that end a step whose model ran without sampling: of a model runner, and of an executor.
SAMPLE_TARGETS: tuple[tuple[str, ...], ...] = (
    tuple(f"{name}.sample_tokens" for name in _MODEL_CALLERS if "runner" in name),
    tuple(f"exec.sample_tokens{suffix}" for suffix in ("", ".mp", ".uni", ".ray")),
)

# Targets that run the model on dummy input.
DUMMY_RUN_TARGETS = (
    "worker.determine_memory",
    "worker.warmup",
    "worker.dummy_batch",
    "runner.dummy_run",
    "runner.profile_run",
    "runner.capture_model",
    "runner2.dummy_run",
    "runner2.profile_run",
    "runner2.capture_model",
    "npu.worker.determine_memory",
    "npu.worker.warmup",
    "npu.worker.dummy_batch",
    "npu.runner.dummy_run",
    "npu.runner.profile_run",
)

_TRAINING_PARTS = ("backward", OPTIMIZER_STEP)
_STEP_GETTERS = frozenset(
    ("scheduled", "executed", "same_step")
)  # they read which step a call belongs to


def is_step_part(target: Target) -> bool:
    """Return whether a range of the target is worth a range on the device.

    True for what a Worker does for a step, and for the parts of a training step."""
    if target.package == "torch":
        return target.name in _TRAINING_PARTS
    return "Worker" in target.roles and bool(_STEP_GETTERS.intersection(target.attributes))
