"""Calls, module trees and threads. Each scenario must give the same result with the agent, and the
right ranges."""

from __future__ import annotations

import contextvars
import gc
import sys
import threading
import traceback
import weakref

import torch
from nets import Block, Failing, Net, Recursive, X
from scenarios import ANY_CALLS, scenario
from torch import nn
from truth import digest


@scenario
def arguments():
    block = Block()
    return digest(
        [
            block(X),
            block(X, 2.0),
            block(X, shift=1.0),
            block(x=X),
            block(X, 2.0, shift=3.0),
            block(scale=3.0, x=X),
        ]
    )


@scenario
def wrong_arguments():
    said = []
    for call in (
        lambda: Block()(),
        lambda: Block()(X, 1, 2),
        lambda: Block()(X, y=1),
        lambda: nn.Module()(X),
    ):
        try:
            call()
        except Exception as error:
            said.append([type(error).__name__, str(error)])
    return said


@scenario
def self_as_keyword():
    class Takes(nn.Module):
        def forward(self, **kwargs):
            return sorted(kwargs)

    return Takes()(input=1, x=2, args=3, kwargs=4)


@scenario
def any_number_of_arguments():
    """Some of them have names in the wrapper: each must arrive as what it was given as. Unknown,
    known, and with a hook."""

    class Takes(nn.Module):
        def forward(self, *args, **kwargs):
            return [repr(args), sorted(kwargs.items())]

    takes, found = Takes(), []
    for _ in range(2):
        for number in range(6):
            given = (None, 0, ..., (), "text", None)[:number]
            found += [
                takes(*given),
                takes(*given, x=1),
                takes(*given, z=None, y=2, args=3, kwargs=4),
            ]
        takes.register_forward_pre_hook(lambda module, args: None)
    return found


def raised_by(error):
    net = nn.Sequential(nn.Identity(), nn.Sequential(Failing(error)))
    try:
        net(X)
    except BaseException as caught:
        frames = [
            (frame.name, frame.line)
            for frame in traceback.extract_tb(caught.__traceback__)
            if "torch" not in frame.filename
        ]
        return [caught is error, caught.__cause__ is None, caught.__context__ is None, frames]


@scenario
def exceptions():
    return [
        raised_by(error)
        for error in (
            ValueError("v"),
            StopIteration("s"),
            AttributeError("a"),
            MemoryError(),
            AssertionError(),
        )
    ]


FAILED = {
    "Sequential||Sequential": 4,
    "Sequential|0|Identity": 4,
    "Sequential|1|Sequential": 4,
    "Sequential|1.0|Failing": 4,
}


@scenario(
    expect={**FAILED, "Sequential|1.0.before|Identity": 4}
)  # torch's always_call hooks are not called for these
def base_exceptions():
    return [
        raised_by(error)
        for error in (KeyboardInterrupt("k"), SystemExit(3), GeneratorExit(), BaseException())
    ]


@scenario
def exception_keeps_nothing_alive():
    net = Failing(ValueError("v"))
    try:
        net(X)
    except ValueError:
        pass
    net.error = None
    gone = weakref.ref(net)
    del net
    gc.collect()
    return gone() is None


@scenario
def recursion():
    return digest(Recursive()(X, 5))


@scenario(expect=ANY_CALLS)  # how deep one comes depends on how many frames a call takes
def recursion_too_deep():
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    try:
        Recursive()(X, 10_000)
    except RecursionError as error:
        return type(error).__name__
    finally:
        sys.setrecursionlimit(limit)


@scenario
def generators():
    class Yields(nn.Module):
        def forward(self, x):
            yield x
            yield x + 1

    return [digest(one) for one in Yields()(X)]


@scenario
def coroutines():
    class Awaits(nn.Module):
        async def forward(self, x):
            return x

    import asyncio

    return digest(asyncio.run(Awaits()(X)))


@scenario
def context_variables():
    variable = contextvars.ContextVar("variable", default=0)

    class Sets(nn.Module):
        def forward(self, x):
            variable.set(variable.get() + 1)
            return x

    module = Sets()
    module(X)
    module(X)
    return variable.get()


@scenario
def shared_modules():
    shared = nn.Linear(4, 4)
    net = nn.ModuleDict({"a": nn.Sequential(shared, nn.ReLU()), "b": nn.Sequential(shared, shared)})

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net["a"](x) + self.net["b"](x)

    return digest(Both()(X))


def use_own_classes(net, prefix):
    """Give modules classes with a name that no module of an earlier scenario had. Names of dead
    trees serve later trees of the class, and a larger tree does not take these over."""
    for module in net.modules():
        cls = type(module)
        module.__class__ = type(f"{prefix}{cls.__name__}", (cls,), {})
    return net


@scenario
def submodule_alone_before_and_after():
    net = use_own_classes(Net(), "Alone")
    net.blocks[1].inner(X)
    net.head(X)
    net.blocks[1](X)
    net(X)
    net.blocks[1].inner(X)
    net.head(X)
    return digest(net(X))


@scenario
def tree_grows():
    net = use_own_classes(nn.Sequential(nn.Linear(4, 4)), "Growing")
    net(X)
    net.append(nn.ReLU())
    net(X)
    larger = nn.Sequential(nn.Identity(), net)
    larger(X)
    net(X)
    net.append(nn.Linear(4, 4))
    larger(X)
    return digest(net(X))


@scenario
def module_replaced_in_place():
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    net(X)
    net[1] = nn.GELU()
    return digest(net(X))


@scenario(expect={"ReLU||ReLU": 1, "Renamed||Renamed": 2})
def class_reassigned_between_calls():
    class Renamed(nn.ReLU):
        def forward(self, x):
            return super().forward(x) + 1

    module = nn.ReLU()
    first = module(X)
    module.__class__ = Renamed
    return digest([first, module(X), module(X)])


@scenario
def unreachable_by_named_modules():
    class Hides(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = [nn.Linear(4, 4), nn.Linear(4, 4)]

        def forward(self, x):
            return self.hidden[1](self.hidden[0](x))

    net = nn.Sequential(Hides())
    net(X)
    return digest(net(X))


@scenario
def made_anew_at_each_step():
    class Makes(nn.Module):
        def forward(self, x):
            torch.manual_seed(0)
            return nn.Linear(4, 4)(x)

    net = Makes()
    for _ in range(50):
        net(X)
        gc.collect(0)
    return digest(net(X))


@scenario(expect={"Softmax||Softmax": 300})
def roots_made_anew_at_each_step():
    return digest([nn.Softmax(dim=0)(X) for _ in range(300)])


@scenario
def modules_die():
    references = []
    for _ in range(20):
        net = Net()
        net(X)
        references += [weakref.ref(module) for module in net.modules()]
        del net
    alive = sum(reference() is not None for reference in references)
    gc.collect()
    return [alive, sum(reference() is not None for reference in references)]


@scenario(expect={"Bare||Bare": 1})  # torch fails before its hooks; the call was one all the same
def no_module_init():
    class Bare(nn.Module):
        def __init__(self):
            pass

        def forward(self, x):
            return x

    try:
        return digest(Bare()(X))
    except Exception as error:
        return [type(error).__name__, str(error)]


@scenario
def lazy_modules():
    net = nn.Sequential(nn.LazyLinear(5), nn.LazyBatchNorm1d(), nn.ReLU())
    classes = [type(module).__name__ for module in net]
    return [digest(net(X)), digest(net(X)), classes, [type(module).__name__ for module in net]]


@scenario
def threads():
    net = Net()
    results = [None] * 4

    def work(number):
        for _ in range(50):
            results[number] = digest(net(X * number))

    running = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return results


@scenario
def foreign_threads():
    import _thread

    net, done, results = Net(), threading.Semaphore(0), []

    def work():
        results.append(digest(net(X)))
        done.release()

    for _ in range(3):
        _thread.start_new_thread(work, ())
    for _ in range(3):
        done.acquire()
    return [results, threading.active_count()]
