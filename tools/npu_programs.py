"""The programs that tools/npu_acceptance.py runs on an NPU. They know nothing of the agent; each
writes what it saw into result.json."""

from __future__ import annotations

PRELUDE = """
import json, os, sys, time
import torch, torch_npu
import torch.nn as nn
import torch_npu.profiler as P

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.up, self.act, self.down = nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width)
    def forward(self, x):
        return x + self.down(self.act(self.up(x)))

class Net(nn.Module):
    def __init__(self, width=WIDTH, depth=4):
        super().__init__()
        self.layers = nn.ModuleList(Block(width) for _ in range(depth))
        self.head = nn.Linear(width, width)
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(x)

def profiled(folder, level="Level1"):  # as vllm-ascend has it: text, no mstx
    config = P._ExperimentalConfig(profiler_level=getattr(P.ProfilerLevel, level), export_type=P.ExportType.Text, msprof_tx=False)
    handler = P.tensorboard_trace_handler(folder, analyse_flag=False)
    return P.profile(activities=[P.ProfilerActivity.CPU, P.ProfilerActivity.NPU], experimental_config=config, on_trace_ready=handler)

def done(**result):
    with open("result.json", "w") as file:
        json.dump(result, file)

torch.manual_seed(0)
net, x = Net().npu().eval(), torch.ones(64, WIDTH).npu()
torch.set_grad_enabled(False)
net(x); torch.npu.synchronize()
"""

# Ranges, links and device times. The truth is counted by torch's own hooks, in calls outside of the
# profile.
MODULES = """
hooks, stack, truth = nn.modules.module, [], {}
def enter(module, _):
    stack.append(type(module).__name__)
    truth["/".join(stack)] = truth.get("/".join(stack), 0) + CALLS
def leave(*_):
    stack.pop()
handles = [hooks.register_module_forward_pre_hook(enter), hooks.register_module_forward_hook(leave)]
net(x)
for handle in handles:
    handle.remove()
for level in LEVELS:
    with profiled(level, level):
        for _ in range(CALLS):
            net(x)
        torch.npu.synchronize()
begin, end = torch.npu.Event(enable_timing=True), torch.npu.Event(enable_timing=True)
begin.record()
for _ in range(CALLS):
    net(x)
end.record()
torch.npu.synchronize()
done(truth=truth, elapsed_ns=begin.elapsed_time(end) * 1e6)
"""

# What a call costs on the host while ranges are taken: two bare calls, and a module that does
# nothing.
COST = """
from torch_npu._C import _mstx as bound
module, rounds = nn.Identity(), []
def ns(call, times=2000):
    begin = time.perf_counter_ns()
    for _ in range(times):
        call()
    return (time.perf_counter_ns() - begin) / times
def pair():
    bound._range_end(bound._range_start_on_host("Identity", "cost"), "cost")
config = P._ExperimentalConfig(profiler_level=P.ProfilerLevel.Level0, mstx=True, export_type=["db"])
activities = [P.ProfilerActivity.CPU, P.ProfilerActivity.NPU]
for running in (False, True):
    handler = P.tensorboard_trace_handler("cost", analyse_flag=False)
    profile = P.profile(activities=activities, experimental_config=config, on_trace_ready=handler)
    if running:
        profile.start()
    tried = {"module": lambda: module(0), "pair": pair, "nothing": lambda: 0}
    calls = {name: min(ns(call) for _ in range(7)) for name, call in tried.items()}
    if running:
        profile.stop()
    rounds.append(calls)
done(off=rounds[0], on=rounds[1])
"""

# A graph that is captured before the profile (beside a call without one), and one that is captured
# in it.
GRAPH = """
def capture():
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        net(x)
    return graph
graph = capture()
with profiled("before"):
    net(x); graph.replay(); torch.npu.synchronize()
with profiled("within"):
    graph = capture()
    graph.replay(); torch.npu.synchronize()
done()
"""

# MSPTI reads mstx ranges by itself, without a torch_npu profile.
MSPTI = """
import mspti
seen = []
monitor = mspti.MstxMonitor()
monitor.start(lambda mark: None, lambda data: seen.append(data.name))
net(x); torch.npu.synchronize()
monitor.stop()
done(seen=len(seen), modules=sum(name in ("Net", "Block", "Linear", "ReLU") for name in seen))
"""

# The guide's offline script, without what one had to add to it.
VLLM = """
import json, os, sys
from vllm import LLM, SamplingParams
if __name__ == "__main__":
    os.environ["VLLM_TORCH_PROFILER_DIR"] = "./vllm_profile"
    llm = LLM(model=sys.argv[1], max_model_len=256, max_num_seqs=8, **json.loads(sys.argv[2]))
    llm.start_profile()
    outputs = llm.generate(["Hello, my name is", "The future of AI is"], SamplingParams(temperature=0, max_tokens=8))
    llm.stop_profile()
    with open("result.json", "w") as file:
        json.dump({"tokens": sum(len(output.outputs[0].token_ids) for output in outputs)}, file)
"""


def program(
    source: str,
    *,
    width: int = 1024,
    calls: int = 5,
    levels: tuple[str, ...] = ("Level0", "Level1"),
) -> str:
    """The whole program: what it needs, then `source`."""
    if source is VLLM:
        return source
    return f"WIDTH, CALLS, LEVELS = {width}, {calls}, {levels!r}\n{PRELUDE}{source}"
