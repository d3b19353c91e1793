"""Hold the programs that tools/npu_acceptance.py runs on an NPU.

They do not use autoinstr. Each writes its findings to result.json.
"""

from __future__ import annotations

PRELUDE = """
import json, os, sys, time
import torch, torch_npu
import torch.nn as nn
import torch_npu.profiler as P

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.up, self.act = nn.Linear(width, 4 * width), nn.ReLU()
        self.down = nn.Linear(4 * width, width)
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

def start_profile(folder, level="Level1"):  # with vllm-ascend's settings: text, no mstx
    config = P._ExperimentalConfig(
        profiler_level=getattr(P.ProfilerLevel, level), export_type=P.ExportType.Text,
        msprof_tx=False)
    handler = P.tensorboard_trace_handler(folder, analyse_flag=False)
    activities = [P.ProfilerActivity.CPU, P.ProfilerActivity.NPU]
    return P.profile(
        activities=activities, experimental_config=config, on_trace_ready=handler)

def write_result(**result):
    with open("result.json", "w") as file:
        json.dump(result, file)

torch.manual_seed(0)
net, x = Net().npu().eval(), torch.ones(64, WIDTH).npu()
torch.set_grad_enabled(False)
net(x); torch.npu.synchronize()
"""

# Ranges, links and device times. torch's own hooks count the true calls, outside the profile.
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
    with start_profile(level, level):
        for _ in range(CALLS):
            net(x)
        torch.npu.synchronize()
begin, end = torch.npu.Event(enable_timing=True), torch.npu.Event(enable_timing=True)
begin.record()
for _ in range(CALLS):
    net(x)
end.record()
torch.npu.synchronize()
write_result(truth=truth, elapsed_ns=begin.elapsed_time(end) * 1e6)
"""

# The cost of a call on the host while ranges are collected: two bare calls, and an empty module.
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
    cases = {"module": lambda: module(0), "pair": pair, "nothing": lambda: 0}
    calls = {name: min(ns(call) for _ in range(7)) for name, call in cases.items()}
    if running:
        profile.stop()
    rounds.append(calls)
write_result(off=rounds[0], on=rounds[1])
"""

# A graph that is captured before the profile, with an eager call, and one that is captured in it.
GRAPH = """
def capture():
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        net(x)
    return graph
graph = capture()
with start_profile("before"):
    net(x); graph.replay(); torch.npu.synchronize()
with start_profile("within"):
    graph = capture()
    graph.replay(); torch.npu.synchronize()
write_result()
"""

# MSPTI reads mstx ranges itself, without a torch_npu profile.
MSPTI = """
import mspti
names = []
MODULE_NAMES = ("Net", "Block", "Linear", "ReLU")
monitor = mspti.MstxMonitor()
monitor.start(lambda mark: None, lambda data: names.append(data.name))
net(x); torch.npu.synchronize()
monitor.stop()
write_result(seen=len(names), modules=sum(name in MODULE_NAMES for name in names))
"""

# The guide's offline script, without the guide's additions for profiling.
VLLM = """
import json, os, sys
from vllm import LLM, SamplingParams
if __name__ == "__main__":
    os.environ["VLLM_TORCH_PROFILER_DIR"] = "./vllm_profile"
    llm = LLM(model=sys.argv[1], max_model_len=256, max_num_seqs=8, **json.loads(sys.argv[2]))
    llm.start_profile()
    sampling = SamplingParams(temperature=0, max_tokens=8)
    outputs = llm.generate(["Hello, my name is", "The future of AI is"], sampling)
    llm.stop_profile()
    tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
    with open("result.json", "w") as file:
        json.dump({"tokens": tokens}, file)
"""


def build_program(
    source: str,
    *,
    width: int = 1024,
    calls: int = 5,
    levels: tuple[str, ...] = ("Level0", "Level1"),
) -> str:
    """Return the complete program: the prelude with these constants, then `source`."""
    if source is VLLM:
        return source
    return f"WIDTH, CALLS, LEVELS = {width}, {calls}, {levels!r}\n{PRELUDE}{source}"
