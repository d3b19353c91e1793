"""Twenty parts of what programs do with modules, for any Python from 3.9 and any torch from 2.1.

They are scenarios: the results do not depend on hooks. Calls in child processes are counted there.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import sys
import threading
from typing import Any

import scenarios
import torch
from nets import Block, Failing, Net, X
from scenarios import ANY_CALLS, scenario
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset
from truth import Truth, digest, pickled

HOW = sys.argv[1]


@scenario
def eager():
    net = Net().eval()
    with torch.no_grad():
        return [digest(net(X)) for _ in range(3)]


@scenario
def hooks():
    net, seen = Net(), []
    net.head.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    net.blocks[0].register_forward_hook(
        lambda module, args, kwargs, result: seen.append(sorted(kwargs)) or result + 1,
        with_kwargs=True,
    )
    net.blocks[1].register_full_backward_hook(lambda module, *grads: seen.append(len(grads)))
    result = net(X)
    result.sum().backward()
    return [digest(result), seen, digest([p.grad for p in net.parameters()])]


class OwnCall(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def __call__(self, x):
        return super().__call__(x) * 2

    def forward(self, x):
        return self.inner(x) + 1


@scenario
def own_call():
    net = nn.Sequential(OwnCall(), nn.Tanh())
    return [digest(net(X)), digest(net[0](X))]


class SameCall(nn.Module):
    __call__ = nn.Module.__call__

    def forward(self, x):
        return x + 1


@scenario
def call_of_module():
    net = nn.Sequential(SameCall(), SameCall())
    return [digest(net(X)), "__call__" in vars(SameCall)]


@scenario
def lazy():
    net = nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.LazyLinear(2))
    return [digest(net(X)), digest(net(X)), [type(module).__name__ for module in net]]


@scenario
def checkpointed():
    block, other = Block(), Block()
    x = X.clone().requires_grad_()
    y = checkpoint(block, x, use_reentrant=True)
    y = checkpoint(other, y, use_reentrant=False)
    y.sum().backward()
    return [digest(y), digest(x.grad)]


@scenario
def train():
    net = Net()
    for make in (torch.optim.SGD, torch.optim.AdamW):
        optimizer = make(net.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            net(X).pow(2).sum().backward()
            optimizer.step()
    return digest(net.state_dict())


@scenario
def autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return digest(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))(X))


@scenario
def encoder():
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    net = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    trained = digest(net(X.reshape(1, 3, 4)))
    with torch.no_grad():
        return [trained, digest(net.eval()(X.reshape(1, 3, 4)))]


class Numbers(Dataset):
    """Calls a module for each item, in the worker."""

    def __init__(self):
        self.scale = nn.Hardtanh(-3, 3)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return self.scale(torch.full((4,), float(index)))


@scenario
def data_loader():
    scenarios.child_counts["data_loader"] = {"Hardtanh||Hardtanh": 6}
    net = nn.Sequential(nn.Linear(4, 4))
    loader = DataLoader(Numbers(), batch_size=2, num_workers=2, multiprocessing_context="fork")
    return digest([net(batch) for batch in loader])


def work_in_child(results: Any) -> None:
    """Call modules in a child process; send the result and torch's count of the calls."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    truth = Truth()
    if HOW == "truth":
        truth.start("child")
    net = nn.Sequential(Net(), nn.ReLU())
    for _ in range(2):
        result = net(X)
    table = truth.table().get("child", {})
    results.put((digest(result), table))


def run_child(method: str) -> str:
    context = multiprocessing.get_context(method)
    results = context.SimpleQueue()
    process = context.Process(target=work_in_child, args=(results,))
    process.start()
    result, scenarios.child_counts[method] = results.get()
    process.join()
    assert process.exitcode == 0
    return [result, digest(Net()(X))]


@scenario
def fork():
    return run_child("fork")


@scenario
def spawn():
    return run_child("spawn")


@scenario
def forkserver():
    return run_child("forkserver")


@scenario
def threads():
    nets, results = [Net() for _ in range(4)], {}
    shared = Net()

    def work(number):
        torch.set_num_threads(1)
        results[number] = [digest(nets[number](X + i)) + digest(shared(X)) for i in range(5)]

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [results[number] for number in range(4)]


@scenario
def copies():
    net = Net()
    first = digest(net(X))
    return [first, *(digest(make(net)(X)) for make in (copy.copy, copy.deepcopy))]


@scenario
def pickles():
    net = Net()
    first = digest(net(X))
    loaded = pickle.loads(pickle.dumps(net))
    return [first, pickled(net), pickled(Net), digest(loaded(X)), digest(loaded.head(X))]


@scenario
def exceptions():
    seen = []
    # torch's hooks are called after an Exception alone.
    for error in (ValueError("a"), StopIteration()):
        net = nn.Sequential(nn.ReLU(), Failing(error))
        try:
            net(X)
        except Exception as raised:
            frames, trace = [], raised.__traceback__
            while trace is not None:
                file = os.path.basename(trace.tb_frame.f_code.co_filename)
                # The wrapper shows the line of module.py that calls `forward`.
                frames.append([file, file != "module.py" and trace.tb_lineno])
                trace = trace.tb_next
            seen.append([raised is error, frames])
    return [seen, digest(Net()(X))]


@scenario(expect=ANY_CALLS)
def jit():
    traced = torch.jit.trace(Net().eval(), X)
    scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 2), nn.ReLU()))
    return [digest(traced(X)), str(traced.graph), digest(scripted(X)), scripted.code]


@scenario(expect=ANY_CALLS)
def fx():
    graph = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(4, 2), nn.ReLU()))
    return [graph.code, digest(graph(X))]


def describe(function: Any) -> Any:
    """Return the result, or the error of a torch that has no compiler for this Python."""
    try:
        return function()
    except Exception as error:
        return [type(error).__name__, str(error).splitlines()[:1]]


@scenario(expect=ANY_CALLS)
def export():
    def work():
        program = torch.export.export(nn.Sequential(nn.Linear(4, 2), nn.ReLU()), (X,))
        run = program.module() if hasattr(program, "module") else program
        return [digest(run(X)), [node.name for node in program.graph.nodes]]

    return describe(work)


def compile_net(**options: Any) -> Any:
    def work():
        torch._dynamo.reset()
        net = Net()
        compiled = torch.compile(net, fullgraph=True, **options)
        return [digest(compiled(X)), digest(compiled(X + 1)), digest(net(X))]

    return describe(work)


@scenario(expect=ANY_CALLS)
def compiled_eager():
    return compile_net(backend="eager")


@scenario(expect=ANY_CALLS)
def compiled_aot():
    return compile_net(backend="aot_eager")


if __name__ == "__main__":
    scenarios.main()
