"""What must not be left on modules, and torch's own ways of calling them."""

from __future__ import annotations

import copy
import pickle
import warnings

import torch
from nets import Net, X
from scenarios import scenario
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint
from truth import digest, pickled, traces_on


@scenario
def nothing_on_the_module():
    net = Net()
    net(X)
    return traces_on(net)


@scenario
def copies_and_pickles():
    net = Net()
    before = digest(net(X))
    again = copy.deepcopy(net)
    loaded = pickle.loads(pickle.dumps(net))
    bound = pickle.loads(pickle.dumps(net.forward))
    shallow = copy.copy(net)
    return [
        before,
        digest(again(X)),
        digest(loaded(X)),
        digest(bound(X)),
        digest(shallow(X)),
        pickled(net.head),
        pickled(net.forward),
    ]


BELOW = {
    "Block|inner|Sequential": 2,
    "Block|inner.0|Linear": 2,
    "Block|inner.1|ReLU": 2,
    "Block|norm|LayerNorm": 2,
    "Linear||Linear": 1,
}


# A pickled bound __call__ is one of _wrapped_call_impl, which is torch's own business, so the
# root's own range is not there.
@scenario(expect={"Block||Block": 2, **BELOW})
def bound_call_pickled():
    net = Net()
    return [pickled(net.__call__), digest(pickle.loads(pickle.dumps(net.__call__))(X))]


@scenario
def how_the_call_looks():
    import inspect

    call = nn.Module.__call__
    return [
        call.__name__,
        call.__module__,
        str(inspect.signature(call)),
        str(inspect.signature(Net().__call__)),
        callable(call),
        inspect.isfunction(call),
    ]


@scenario
def functional_call():
    net = Net()
    values = {name: value * 2 for name, value in net.named_parameters()}
    return digest(torch.func.functional_call(net, values, (X,)))


@scenario
def vmap_and_grad():
    net = Net()
    values = dict(net.named_parameters())
    loss = lambda values, x: torch.func.functional_call(net, values, (x,)).sum()  # noqa: E731
    return digest(
        [
            torch.vmap(net)(X),
            torch.func.grad(loss)(values, X),
            torch.vmap(torch.func.grad(loss), in_dims=(None, 0))(values, X),
        ]
    )


@scenario
def stacked_models():
    nets = [nn.Linear(4, 4) for _ in range(3)]
    parameters, buffers = torch.func.stack_module_state(nets)
    base = copy.deepcopy(nets[0]).to("meta")
    return digest(
        torch.vmap(
            lambda p, b, x: torch.func.functional_call(base, (p, b), (x,)), in_dims=(0, 0, None)
        )(parameters, buffers, X)
    )


@scenario
def checkpointing():
    results = []
    for reentrant in (True, False):
        net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 4))
        x = X.clone().requires_grad_()
        torch.manual_seed(2)
        checkpoint(net, x, use_reentrant=reentrant).sum().backward()
        results.append([digest(x.grad), digest([one.grad for one in net.parameters()])])
    return results


@scenario
def autocast():
    net = Net()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = net(X)
    result.float().sum().backward()
    return digest([result, [one.grad for one in net.parameters()]])


@scenario
def inference_and_meta():
    net = Net()
    with torch.inference_mode():
        first = net(X)
    with torch.device("meta"):
        shape = list(Net()(torch.ones(3, 4)).shape)
    return [digest(first), shape]


@scenario
def training_loop():
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(X), torch.zeros(3, 2)).backward()
        optimizer.step()
    return digest(net.state_dict())


@scenario
def parametrized():
    net = nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(4, 4)),
        parametrizations.weight_norm(nn.Linear(4, 4)),
    )
    first = net(X)
    with parametrize.cached():
        second = net(X)
    return digest([first, second])


@scenario
def data_parallel():
    return digest(nn.DataParallel(Net())(X))


@scenario
def transformer_fast_path():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    net = nn.TransformerEncoder(layer, 2).eval()
    with torch.no_grad():
        return digest(net(torch.ones(2, 3, 8)))


@scenario
def script_and_trace():
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    scripted, traced = torch.jit.script(net), torch.jit.trace(net, X)
    outer = nn.Sequential(scripted, traced)
    return [
        digest(scripted(X)),
        digest(traced(X)),
        digest(outer(X)),
        str(scripted.code),
        str(traced.code),
    ]


@scenario
def autograd_function_in_forward():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            return INNER(grad)

    class Uses(nn.Module):
        def forward(self, x):
            return Double.apply(x)

    x = X.clone().requires_grad_()
    Uses()(x).sum().backward()
    return digest(x.grad)


INNER = nn.ReLU()


@scenario
def warnings_name_the_same_place():
    class Warns(nn.Module):
        def forward(self, x, level=2):
            warnings.warn(f"level {level}", stacklevel=level)
            return x

    class Calls(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Warns()

        def forward(self, x):
            self.inner(x, level=1)
            self.inner(x, level=2)
            return self.inner(x)

    caught = []
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        Calls()(X)
        caught = [[str(one.message), one.filename, one.lineno] for one in record]
    Calls()(X)
    warnings.filterwarnings("ignore", module=r"torch\.nn\.modules\.module")
    Calls()(X)
    return caught
