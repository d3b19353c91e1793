"""Tasks and actors of Ray on two nodes of a cluster on this machine, which run modules. Prints
process numbers and results as JSON, once for each argument: a runtime_env, as JSON."""

from __future__ import annotations

import json
import os
import sys

import ray
import torch
from ray.cluster_utils import Cluster
from torch import nn

CALLS = {"task": 3, "actor": 5}


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return torch.relu(self.linear(x))


def run(block: Block, calls: int) -> tuple[int, str, float]:
    for _ in range(calls):
        result = block(torch.ones(1, 4))
    return os.getpid(), ray.get_runtime_context().get_node_id(), result.sum().item()


@ray.remote
def task() -> tuple[int, str, float]:
    return run(Block(), CALLS["task"])


@ray.remote
class Actor:
    def __init__(self) -> None:
        self.block = Block()

    def step(self) -> tuple[int, str, float]:
        return run(self.block, CALLS["actor"])


def main() -> None:
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "resources": {"first": 1}},
    )
    cluster.add_node(num_cpus=1, resources={"second": 1})
    print(json.dumps([run_in(cluster, json.loads(one)) for one in sys.argv[1:]]))
    cluster.shutdown()


def run_in(cluster: Cluster, runtime_env: dict[str, object] | None) -> dict[str, object]:
    ray.init(address=cluster.address, log_to_driver=False, runtime_env=runtime_env)
    nodes = ("first", "second")
    tasks = ray.get([task.options(resources={node: 0.1}).remote() for node in nodes])
    actors = [Actor.options(resources={node: 0.1}).remote() for node in nodes]
    acted = ray.get([actor.step.remote() for actor in actors])
    ray.shutdown()
    return {"tasks": tasks, "actors": acted}


main()
