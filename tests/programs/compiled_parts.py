"""Compiles small models in several ways and prints, as JSON, what must be the same with and without
autoinstr. It does not know autoinstr, except for the part `switched`."""

import hashlib
import json
import os
import sys
import threading
import traceback

import torch
from torch import nn
from torch._dynamo.utils import counters

torch.set_num_threads(1)
fail = threading.Event()


@torch.library.custom_op("tests::checked", mutates_args=())
def checked(x: torch.Tensor) -> torch.Tensor:
    if fail.is_set():
        raise ValueError("the operator failed")
    return x.clone()


@checked.register_fake
def _(x):
    return torch.empty_like(x)


checked.register_autograd(lambda ctx, grad: grad)


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.up = nn.LayerNorm(width), nn.Linear(width, 2 * width)
        self.act, self.down = nn.GELU(), nn.Linear(2 * width, width)

    def forward(self, x):
        return x + self.down(self.act(self.up(self.norm(x))))


class Checked(nn.Module):
    def forward(self, x):
        return torch.ops.tests.checked(x)


class Net(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.layers = nn.ModuleList(Layer(width) for _ in range(2))
        self.check, self.head, self.identity = Checked(), nn.Linear(width, 4), nn.Identity()

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(self.identity(self.check(x)))


def digest(tensors):
    text = hashlib.sha256()
    for tensor in tensors:
        text.update(tensor.detach().contiguous().numpy().tobytes())
    return text.hexdigest()


nets = []  # kept: the name of a dead model may be used again


def make_net():
    torch.manual_seed(0)
    nets.append(Net())
    return nets[-1]


def run(model, x, steps=3):
    with torch.no_grad():
        return [digest([model(x)]) for _ in range(steps)]


def train(model, net, x):
    found = []
    for _ in range(3):
        net.zero_grad(set_to_none=True)
        out = model(x)
        out.square().mean().backward()
        found.append(digest([out, *(p.grad for p in net.parameters())]))
    return found


def count():
    found = {
        "graphs": counters["stats"].get("unique_graphs"),
        "breaks": sum(counters["graph_break"].values()),
        "frames": dict(counters["frames"]),
        "fx": [counters["inductor"].get(f"fxgraph_cache_{end}", 0) for end in ("hit", "miss")],
        "aot": [counters["aot_autograd"].get(f"autograd_cache_{e}", 0) for e in ("hit", "miss")],
    }
    counters.clear()
    torch._dynamo.reset()
    return found


torch.manual_seed(0)
x = torch.randn(3, 16)
result = {}


def part(name, value):
    result[name] = {"value": value, **count()}


net = make_net()
compiled = torch.compile(net, fullgraph=True)
values = run(compiled, x)
fail.set()
try:
    run(compiled, x)
except ValueError as error:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [
        frame.lineno for frame in frames if "inductor" in frame.filename or frame.name == "call"
    ]
    values.append([str(error), lines])
fail.clear()
if "switched" in sys.argv:
    from autoinstr.agent import bootstrap

    session = bootstrap.get_session()
    (woven,) = [
        w for w in session.compiled_ranges._woven.values() if w.native_code.co_name == "call"
    ]
    session.switch_off("the test")
    assert woven.function().__code__ is woven.native_code
    run(compiled, x)
    session.switch_on("the test")
    assert woven.function().__code__ is woven.code is not woven.native_code
    child = os.fork()
    if not child:
        run(compiled, x)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
part("inference", values)

net = make_net()
for layer in net.layers:
    layer.compile()
part("regional training", train(net, net, x))

net = make_net()
part("function", run(torch.compile(lambda x: net(x).relu(), backend="eager"), x))

net = make_net()
dynamic = torch.compile(net, backend="aot_eager", dynamic=True)
part("dynamic", [run(dynamic, torch.ones(size, 16)) for size in (3, 5)] + train(dynamic, net, x))

net = make_net()
part("export", str(torch.export.export(net, (torch.ones(3, 16),)).graph))


def threads(backend="eager"):
    """Compile in threads, while the ranges are switched on and off in another."""
    found, stop = [], threading.Event()

    def toggle():
        while "switched" in sys.argv and not stop.wait(0.002):
            session.switch_off("the test")
            session.switch_on("the test")

    torch.manual_seed(0)
    models = [nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(3)]

    def work(number):
        model = torch.compile(models[number], backend=backend)
        found.append((number, run(model, torch.ones(2, 4), 20)[-1]))

    toggler = threading.Thread(target=toggle)
    toggler.start()
    workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    stop.set()
    toggler.join()
    return sorted(found)


part("threads", threads())
print(json.dumps(result))
