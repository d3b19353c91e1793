"""Tasks and actors of Ray on two nodes of a cluster on this machine, which run modules.

Prints process numbers and results as JSON, once for each argument: a runtime_env, as JSON. The
variable COMMANDS has command lines that are run in COMMANDS_FOLDER while the cluster is there, as
JSON; one that names STARTED_FILE gets Ctrl-C as soon as that file exists. What they printed is in
the JSON, too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

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

    def __call__(self, x):
        """Ray pickles this class by value, with the function that the agent puts here."""
        return super().__call__(x)

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
    Block()(torch.ones(1, 4))
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "resources": {"first": 1}},
    )
    cluster.add_node(num_cpus=1, resources={"second": 1})
    runs = [run_in(cluster, json.loads(one)) for one in sys.argv[1:]]
    commands = json.loads(os.environ.get("COMMANDS", "[]"))
    print(json.dumps({"runs": runs, "commands": [command(cluster, one) for one in commands]}))
    cluster.shutdown()


def command(cluster: Cluster, words: list[str]) -> dict[str, object]:
    started = os.environ["STARTED_FILE"]
    process = subprocess.Popen(
        words,
        cwd=os.environ["COMMANDS_FOLDER"],
        env={**os.environ, "RAY_ADDRESS": cluster.address},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    pid = 0
    while started in words and process.poll() is None and not pid:
        time.sleep(0.1)
        if os.path.exists(started):
            with open(started) as stream:
                pid = int(stream.read())
            process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    return {"status": process.returncode, "out": out, "err": err, "ended": has_ended(pid)}


def has_ended(pid: int) -> bool:
    """Return whether a process ends within a minute; False for none."""
    deadline = time.monotonic() + 60
    while pid and time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def run_in(cluster: Cluster, runtime_env: dict[str, object] | None) -> dict[str, object]:
    ray.init(address=cluster.address, log_to_driver=False, runtime_env=runtime_env)
    nodes = ("first", "second")
    tasks = ray.get([task.options(resources={node: 0.1}).remote() for node in nodes])
    actors = [Actor.options(resources={node: 0.1}).remote() for node in nodes]
    acted = ray.get([actor.step.remote() for actor in actors])
    ray.shutdown()
    return {"tasks": tasks, "actors": acted}


main()
