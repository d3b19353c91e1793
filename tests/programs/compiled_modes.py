"""Compiles one small model in modes of inductor that few programs use, and prints, as JSON, what
must be the same with and without autoinstr: outputs, graphs and breaks, and the generated files."""

import hashlib
import json
import sys

import torch
from torch import nn
from torch._dynamo.utils import counters
from truth import digest

torch.set_num_threads(1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.act, self.down = nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8)

    def forward(self, x):
        return self.down(self.act(self.up(x)))


class Branches(nn.Module):
    """Inductor generates a function for each branch."""

    def __init__(self):
        super().__init__()
        self.one, self.two = Net(), Net()

    def forward(self, x):
        return torch.cond(x.sum() > 0, self.one, self.two, (x,))


class Repeats(nn.Module):
    """Several places call one subgraph."""

    def __init__(self):
        super().__init__()
        self.net = Net()

        @torch.compiler.nested_compile_region
        def region(x):
            return self.net(x)

        self.region = region

    def forward(self, x):
        return self.region(self.region(x))


x = torch.linspace(-1, 2, 16).reshape(2, 8)
result = {}


def part(name, make, options=None, inputs=(x,), **config):
    torch.manual_seed(0)
    torch._dynamo.reset()
    counters.clear()
    model = make().eval()
    with torch.no_grad(), torch._inductor.config.patch(**config):
        compiled = torch.compile(model, fullgraph=True, options=options)
        values = [digest(compiled(value)) for value in inputs for _ in range(2)]
    result[name] = {
        "values": values,
        "graphs": counters["stats"].get("unique_graphs"),
        "breaks": sum(counters["graph_break"].values()),
        "fx": [counters["inductor"].get(f"fxgraph_cache_{end}", 0) for end in ("hit", "miss")],
    }


part("cond", Branches, inputs=(x, -x))
part("nested region", Repeats)
part("freezing", Net, freezing=True)
part("graph_partition", Net, graph_partition=True)
part("memory_planning", Net, memory_planning=True)
part("cpp_wrapper", Net, cpp_wrapper=True)
torch.manual_seed(0)
exported = torch.export.export(Net().eval(), (x,))
package = torch._inductor.aoti_compile_and_package(exported, package_path=f"{sys.argv[1]}/net.pt2")
with torch.no_grad():
    result["AOTInductor"] = digest(torch._inductor.aoti_load_package(package)(x))
result["exported"] = hashlib.sha256(str(exported.graph).encode()).hexdigest()
print(json.dumps(result))
