"""Compiles a function that calls one which a closure of ours has taken the place of; prints what
torch.compile saw, natively and with ours.

Run by tests/integration/test_closure_compile.py as `python -m tests.programs.closure_compile
FOLDER`."""

import json
import sys

import torch

from autoinstr.agent.recording_file import create_recording
from autoinstr.emitters.recorder import Recorder
from autoinstr.instrument.functions import closure
from autoinstr.instrument.functions.ranges import FunctionRanges
from autoinstr.recording.reader import Recording
from autoinstr.targets.rows import Target


class Body:
    def work(self, x):
        return torch.sin(x) + 1


def outer(x):
    return Body().work(x) * 2


def seen(backend):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    graphs = []

    def keep(graph, inputs):
        graphs.append([str(node.target) for node in graph.graph.nodes])
        return graph.forward

    compiled = torch.compile(outer, fullgraph=True, backend=keep if backend == "eager" else backend)
    result = [compiled(torch.full((3,), float(k))).tolist() for k in range(3)]
    counters = torch._dynamo.utils.counters
    return {
        "result": result,
        "graphs": graphs,
        "frames": dict(counters["frames"]),
        "breaks": dict(counters["graph_break"]),
    }


def main():
    failures = []
    recorder = Recorder(
        lambda: create_recording(sys.argv[1], {}, max_bytes=1 << 20), failures.append
    )
    ranges = FunctionRanges(recorder, failures.append)
    native = {backend: seen(backend) for backend in ("eager", "aot_eager", "inductor")}
    row = Target("work", "m", "Body.work", "sync", (), "", "", ("bytes",), True, "vllm", "vllm", "")
    Body.work = closure.make_call_closure(ranges, ranges.add_target(row), Body.work, True)
    ours = {}
    for active in (False, True):
        ranges.active = active
        ours[str(active)] = {backend: seen(backend) for backend in native}
    outer(torch.ones(3))
    calls = sum(len(words) // 3 for _, words in Recording(recorder.writer.path).read_blocks())
    print(
        json.dumps(
            {"native": native, "ours": ours, "calls": calls, "failures": list(map(repr, failures))}
        )
    )


if __name__ == "__main__":
    main()
