"""What traces modules: jit, fx, export, quantization. The graphs must be the same with the agent,
and hold nothing of ours."""

from __future__ import annotations

import copy
import io
import warnings

import scenarios
import torch
from nets import Net, X
from scenarios import ANY_CALLS, scenario
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx
from truth import digest

NET = {"Net||Net": 1, "Net|head|Linear": 1}
for _number in (0, 1):
    _block = f"Net|blocks.{_number}"
    NET.update(
        {f"{_block}|Block": 1, f"{_block}.norm|LayerNorm": 1, f"{_block}.inner|Sequential": 1}
    )
    NET.update({f"{_block}.inner.0|Linear": 1, f"{_block}.inner.1|ReLU": 1})


@scenario
def jit_trace():
    traced = torch.jit.trace(Net(), X)
    stream = io.BytesIO()
    torch.jit.save(traced, stream)
    stream.seek(0)
    return [
        str(traced.inlined_graph),
        str(traced.graph),
        digest(traced(X)),
        digest(torch.jit.load(stream)(X)),
    ]


@scenario
def jit_trace_of_a_method_and_a_function():
    net = Net().requires_grad_(False)
    first = torch.jit.trace(lambda x: net(x) + 1, X)
    second = torch.jit.trace_module(net, {"forward": X})
    return [str(first.graph), str(second.graph), digest([first(X), second(X)])]


@scenario
def jit_script():
    scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU())))
    return [scripted.code, str(scripted.inlined_graph), digest(scripted(X))]


# torch.fx calls the modules that it traces through torch's own function, which it took down when it
# was imported: no ranges while it traces. The traced module shares the leaves of the other, and has
# its class's name.
LEAVES = {key: 2 for key in NET if "Block" not in key and "Sequential" not in key}


@scenario(expect={**NET, **LEAVES})
def fx_symbolic_trace():
    net = Net()
    graph = torch.fx.symbolic_trace(net)
    return [str(graph.graph), graph.code, digest([graph(X), net(X)]), nn.Module.__call__.__name__]


@scenario(expect={"<lambda>||<lambda>": 1})  # the graph made of a lambda is called so
def fx_make_fx():
    net = Net()
    graph = make_fx(lambda x: net(x))(X)
    return [graph.code, digest(graph(X))]


@scenario(expect=ANY_CALLS)
def export():
    results = []
    for strict in (False, True):
        net = Net()
        program = torch.export.export(net, (X,), strict=strict)
        results.append(
            [
                program.graph_module.code,
                str(program.graph_signature),
                digest(program.module()(X)),
                digest(net(X)),
            ]
        )
    return results


@scenario
def quantization():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.ao import quantization

        torch.backends.quantized.engine = (
            "onednn" if "onednn" in torch.backends.quantized.supported_engines else "fbgemm"
        )

        class Quantizable(nn.Module):
            def __init__(self):
                super().__init__()
                self.quant = quantization.QuantStub()
                self.net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
                self.dequant = quantization.DeQuantStub()

            def forward(self, x):
                return self.dequant(self.net(self.quant(x)))

        net = Quantizable().eval()
        net.qconfig = quantization.get_default_qconfig("fbgemm")
        prepared = quantization.prepare(net)
        first = prepared(X)
        converted = quantization.convert(prepared)
        return [str(converted), digest([first, converted(X)])]


@scenario(expect=ANY_CALLS)
def quantization_by_fx():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.ao.quantization import get_default_qconfig_mapping, quantize_fx

        net = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
        prepared = quantize_fx.prepare_fx(
            copy.deepcopy(net), get_default_qconfig_mapping("fbgemm"), (X,)
        )
        first = prepared(X)
        return [prepared.code, digest([first, quantize_fx.convert_fx(prepared)(X)])]


@scenario(expect=ANY_CALLS)
def quantization_takes_the_arguments_of_submodules():
    """torch.ao.quantization.utils patches Module.__call__, saves what was there and puts it
    back."""
    from torch.ao.quantization.utils import get_fqn_to_example_inputs

    before = nn.Module.__dict__["__call__"]
    inputs = get_fqn_to_example_inputs(Net(), (X,))
    return [
        {path: digest(values) for path, values in inputs.items()},
        nn.Module.__dict__["__call__"] is before,
    ]


@scenario
def calls_after_all_that():
    return digest(Net()(X))


if __name__ == "__main__":
    scenarios.main()
