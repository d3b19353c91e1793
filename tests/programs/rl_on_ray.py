"""A loop of reinforcement learning on Ray: three actors make samples, score them, train on them and
pass the weights on. Prints the loss of each step."""

from __future__ import annotations

import json
import time

import ray
import torch
from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
from verl.workers.engine_workers import ActorRolloutRefWorker

STEPS = 2


class RolloutWorker(AgentLoopWorker):
    pass


class ReferenceWorker(ActorRolloutRefWorker):
    pass


class TrainingWorker(ActorRolloutRefWorker):
    def list_names(self) -> list[str]:
        return [name for name, _ in self.model.named_parameters()]


def main() -> None:
    ray.init(log_to_driver=False)
    rollout, reference, training = (
        ray.remote(cls).options(num_cpus=0.1).remote()
        for cls in (RolloutWorker, ReferenceWorker, TrainingWorker)
    )
    losses = []
    for step in range(STEPS):
        prompts = torch.full((2, 3), step + 1)
        tokens = ray.get(rollout.generate_sequences.remote(prompts))
        scores = ray.get(reference.compute_ref_log_prob.remote(tokens))
        losses.append(ray.get(training.update_actor.remote(tokens, scores)))
        ray.get(training.update_weights.remote(rollout))
    print(json.dumps({"losses": losses, "names": ray.get(training.list_names.remote())}))
    for actor in (rollout, reference, training):
        end(actor)
    ray.shutdown()


def end(actor: object) -> None:
    """End an actor in order, and wait for that: ray.shutdown() would kill it."""
    try:
        ray.get(actor.__ray_terminate__.remote())
        while True:
            ray.get(actor.__ray_ready__.remote())
            time.sleep(0.1)
    except ray.exceptions.RayActorError:
        pass


main()
