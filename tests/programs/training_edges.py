"""What programs do with torch's own functions beside calling them: identity, pickling, source,
warnings; and with loaders and optimizers.

Prints what each case gave, as one line of JSON. Knows nothing of the agent.
"""

from __future__ import annotations

import copy
import inspect
import io
import json
import os
import pickle
import sys
import tempfile
import threading
import traceback
import warnings

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as checkpoint
import torch.multiprocessing
from torch import nn
from torch.autograd import backward as early_backward
from torch.distributed import all_reduce as early_all_reduce
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.serialization import save as early_save
from torch.utils.data import DataLoader, Dataset, IterableDataset
from truth import digest

torch.set_num_threads(1)
CASES = []
BUFFER = io.BytesIO
FUNCTIONS = [
    torch.save, torch.load, torch.autograd.backward, torch.autograd.grad, torch.Tensor.backward,
    nn.utils.clip_grad_norm_, dist.all_reduce, dist.barrier, dist.init_process_group, dist.isend,
    checkpoint.save, checkpoint.load, torch.optim.Optimizer.zero_grad, torch.amp.GradScaler.step,
    DataLoader.__iter__, torch.utils.data.dataloader._BaseDataLoaderIter.__next__,
]  # fmt: skip


def scenario(function):
    CASES.append(function)
    return function


@scenario
def functions_are_what_they_were():
    assert (
        torch.save is torch.serialization.save is early_save
        and torch.autograd.backward is early_backward
    )
    assert dist.all_reduce is dist.distributed_c10d.all_reduce is early_all_reduce
    found = []
    for one in FUNCTIONS:
        assert pickle.loads(pickle.dumps(one)) is one and copy.deepcopy(one) is one
        known = [
            one.__module__,
            one.__qualname__,
            str(inspect.signature(one)),
            repr(one.__defaults__),
            repr(one.__kwdefaults__),
        ]
        found.append(
            [
                *known,
                len(inspect.getsource(one)),
                len(one.__doc__ or ""),
                type(one).__name__,
                sorted(one.__annotations__),
            ]
        )
    return found


@scenario
def calls_in_every_shape():
    results, folder = [], tempfile.mkdtemp()
    torch.save(obj={"a": 1}, f=os.path.join(folder, "1"))
    torch.save({"a": 2}, os.path.join(folder, "2"), pickle, 3, _use_new_zipfile_serialization=False)
    results += [
        torch.load(os.path.join(folder, "1")),
        torch.load(f=os.path.join(folder, "2"), map_location="cpu", weights_only=True),
    ]
    for call in (
        lambda: torch.save(),
        lambda: torch.save(1, 2, 3, 4, 5, 6, 7),
        lambda: torch.load(weights_onlyy=1),
        lambda: dist.barrier(x=1),
    ):
        try:
            call()
        except Exception as error:
            results.append(f"{type(error).__name__}: {error}")
    try:
        torch.load(os.path.join(folder, "absent"))
    except FileNotFoundError as error:
        frames = [
            one.name
            for one in traceback.extract_tb(error.__traceback__)
            if "importlib" not in one.filename
        ]
        results.append(frames)
    return results


@scenario
def warnings_name_the_same_lines():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        x = torch.ones(2, requires_grad=True)
        torch.autograd.backward((x * x).sum(), create_graph=True)
        (x * x).sum().backward(create_graph=True)
        torch.autograd.grad((x * x).sum(), x, only_inputs=False)
        model, optimizer = training(Scaled)
        scaler = torch.amp.GradScaler("cpu")
        scaler.scale(model(torch.ones(1, 3)).sum()).backward()
        scaler.step(optimizer)
        scaler.update(1.0)
        torch.optim.lr_scheduler.StepLR(optimizer, 1).step()
        nn.utils.clip_grad_norm_([], 1.0)
        nn.utils.clip_grad_norm_(iter(()), 1.0)
    return [
        [os.path.basename(one.filename), one.lineno, one.category.__name__, str(one.message)[:60]]
        for one in caught
    ]


def training(kind=torch.optim.AdamW, **options):
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    return model, kind(model.parameters(), lr=0.1, **options)


def step(model, optimizer):
    optimizer.zero_grad()
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    return digest([one.detach() for one in model.parameters()])


class Stepping(torch.optim.SGD):
    def step(self, closure=None):
        if closure is not None:
            closure()
        return super().step()


class Scaled(torch.optim.SGD):
    """A way of old to work with a scaler, which warns."""

    _step_supports_amp_scaling = True

    def step(self, closure=None, grad_scaler=None):
        return super().step()


@scenario
def optimizers():
    results = []
    for kind in (torch.optim.SGD, torch.optim.AdamW, torch.optim.Adagrad, Stepping):
        model, optimizer = training(kind)
        results.append(
            [step(model, optimizer), sorted(vars(optimizer)), str(inspect.signature(kind.step))]
        )
        both = copy.deepcopy((model, optimizer))
        results.append(
            [
                step(*both),
                step(*pickle.loads(pickle.dumps((model, optimizer)))),
                step(model, optimizer),
            ]
        )
        buffer = BUFFER()
        torch.save(optimizer.state_dict(), buffer)
        buffer.seek(0)
        model, optimizer = training(kind)
        optimizer.load_state_dict(torch.load(buffer))
        results.append(step(model, optimizer))
    return results


@scenario
def hooks_of_the_programs_own():
    seen = []
    model, optimizer = training(Stepping)
    handles = [
        register_optimizer_step_pre_hook(lambda *given: seen.append(["before", len(given)])),
        register_optimizer_step_post_hook(lambda *given: seen.append(["after", len(given)])),
        optimizer.register_step_pre_hook(lambda own, args, kwargs: ((own, None), {})),
    ]
    result = step(model, optimizer)
    for one in handles:
        one.remove()
    return [seen, result, step(model, optimizer)]


@scenario
def a_step_that_raises():
    model, optimizer = training(Stepping)

    def fails():
        raise KeyError("no")

    errors = []
    for _ in range(3):
        try:
            optimizer.step(fails)
        except KeyError as error:
            errors.append([one.name for one in traceback.extract_tb(error.__traceback__)])
        step(model, optimizer)
    return errors


@scenario
def optimizers_in_threads():
    results = {}

    def work(number):
        torch.manual_seed(number)
        model = nn.Linear(3, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        results[number] = [step(model, optimizer) for _ in range(20)][-1]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return len(results)


class Squares(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return torch.tensor(index * index)


class Stream(IterableDataset):
    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        return iter(
            range(
                0 if worker is None else 10 * worker.id,
                4 + (0 if worker is None else 10 * worker.id),
            )
        )


class Nested(Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return sum(int(one.sum()) for one in DataLoader(Squares(), 2)) + index


class Failing(Squares):
    def __getitem__(self, index):
        if index == 3:
            raise ValueError("three")
        return index


def batches(loader):
    return [one.tolist() for one in loader]


@scenario
def loaders():
    results = [
        batches(DataLoader(Squares(), 2)),
        batches(DataLoader(Stream(), 3)),
        batches(DataLoader(Nested(), 1)),
    ]
    loader = DataLoader(Squares(), 2)
    for outer, inner in zip(loader, loader):
        results.append([outer.tolist(), inner.tolist()])
    abandoned = iter(loader)
    results.append(next(abandoned).tolist())
    del abandoned
    again = iter(loader)
    results.append([next(again).tolist(), len(loader), list(map(torch.Tensor.tolist, again))])
    try:
        next(again)
    except StopIteration:
        results.append("stops")
    try:
        batches(DataLoader(Failing(), 1))
    except ValueError as error:
        results.append(str(error))
    return results


@scenario
def loaders_with_workers():
    results = []
    for context in ("fork", "spawn"):
        results.append(
            batches(DataLoader(Squares(), 2, num_workers=2, multiprocessing_context=context))
        )
    persistent = DataLoader(
        Squares(), 2, num_workers=1, persistent_workers=True, multiprocessing_context="fork"
    )
    results += [batches(persistent), batches(persistent)]
    results.append(
        sorted(batches(DataLoader(Stream(), 2, num_workers=2, multiprocessing_context="fork")))
    )
    abandoned = iter(DataLoader(Squares(), 1, num_workers=2, multiprocessing_context="fork"))
    results.append(next(abandoned).tolist())
    del abandoned, persistent
    try:
        batches(DataLoader(Failing(), 1, num_workers=1, multiprocessing_context="fork"))
    except ValueError as error:
        results.append(str(error).splitlines()[0])
    return results


@scenario
def a_loader_in_a_spawned_function():
    model, optimizer = training()
    step(model, optimizer)
    torch.multiprocessing.spawn(in_child, (optimizer.state_dict(),), nprocs=1)
    return True


def in_child(rank, state):
    model, optimizer = training()
    optimizer.load_state_dict(state)
    step(model, optimizer)
    assert batches(DataLoader(Squares(), 3)) == [[0, 1, 4], [9, 16, 25]]


@scenario
def collectives():
    one = torch.ones(2)
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(
            "gloo", init_method=f"file://{folder}/meeting", rank=0, world_size=1
        )
        work = early_all_reduce(one, async_op=True)
        work.wait()
        parts, objects = [torch.empty(2)], [None]
        dist.all_gather(parts, one)
        dist.all_gather_into_tensor(torch.empty(2), one)
        dist.all_gather_object(objects, {"a": 1})
        dist.broadcast(one, 0)
        dist.broadcast_object_list(objects, 0)
        dist.reduce(one, 0)
        dist.gather(one, parts, 0)
        dist.scatter(one, parts, 0)
        dist.reduce_scatter_tensor(torch.empty(2), one)
        dist.all_to_all_single(torch.empty(2), one)
        dist.monitored_barrier()
        dist.barrier()
        errors = []
        for wrong in (
            lambda: dist.all_reduce("text"),
            lambda: dist.broadcast(one, 5),
            lambda: dist.send(one, 0),
        ):
            try:
                wrong()
            except Exception as error:
                errors.append(type(error).__name__)
        checkpoint.save({"one": one}, checkpoint_id=os.path.join(folder, "saved"))
        loaded = {"one": torch.zeros(2)}
        checkpoint.load(loaded, checkpoint_id=os.path.join(folder, "saved"))
        dist.destroy_process_group()
    return [one.tolist(), objects, errors, loaded["one"].tolist()]


if __name__ == "__main__":
    found = {}
    for one in CASES:
        if len(sys.argv) < 2 or one.__name__ in sys.argv[1:]:
            found[one.__name__] = one()
    print(json.dumps(found))
