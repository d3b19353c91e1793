"""The arithmetic of the simulated device: torch's own CPU kernels. Run once by aclInit (runtime.c),
in a namespace of its own.

Device memory is host memory, so a CPU tensor can be laid over the bytes of a device tensor. Each
aten operator that torch_npu registers for its device is replaced by: lay CPU tensors over the
arguments, run the CPU kernel, copy the results into new device tensors. Storages, views and
everything above the dispatcher stay torch_npu's.

Simulated: results (each operator's are the CPU's; torch_npu may choose other operators than the CPU
does), shapes, strides, mutation and aliasing of arguments. While a profiling session collects
tasks, each operator launches one, `cannsim_<operator>`, on the current stream (tasks.c), that lasts
as long as the CPU kernel took. Not simulated: time (a kernel is done before the call returns; only
behind a collective it waits), copies between host and device as tasks, formats of the device,
operators that torch_npu defines itself (`torch_npu.npu_*` fail: aclnn is missing), and random
numbers: they are the CPU's, from one CPU generator for each seed of the device.
"""

from __future__ import annotations

import ctypes
import time
from typing import Any, Callable

import cannsim_graphs as graphs
import torch
import torch_npu
from torch.utils._pytree import tree_leaves, tree_map

KEY = "PrivateUse1"
# Operators that allocate or make another view: torch_npu's own are right on any memory.
KEEP = {
    "empty",
    "empty_strided",
    "new_empty_strided",
    "resize_",
    "set_",
    "is_set_to",
    "record_stream",
    "is_pinned",
    "_pin_memory",
}
KEEP |= {"as_strided", "as_strided_", "view", "_reshape_alias", "unfold", "alias"}
COPIES = {
    "copy_",
    "_foreach_copy_",
    "_copy_from_and_resize",
}  # no kernel where a side is the host's
_generators: dict[int, torch.Generator] = {}
_cann = ctypes.CDLL(
    "libascendcl.so"
)  # lets go of the interpreter, as a launch must: the task queue may be full
_communicators = ctypes.c_int.in_dll(ctypes.CDLL("libhccl.so"), "cannsim_communicators")
_cann.cannsim_launch.argtypes = [
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_uint64,
]


def on_device(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.device.type == "npu"


def on_host(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.device.type != "npu"


def over(tensor: torch.Tensor) -> torch.Tensor:
    """Return a CPU tensor over the memory of a device tensor."""
    storage = tensor.untyped_storage()
    size = storage.nbytes() // tensor.element_size() * tensor.element_size()
    if not size:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
    flat = torch.frombuffer(
        (ctypes.c_byte * size).from_address(storage.data_ptr()), dtype=torch.uint8
    ).view(tensor.dtype)
    return flat.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def lowered(value: Any) -> Any:
    """Return what the CPU kernel gets for one argument."""
    if on_device(value):
        cpu = over(value)
        return cpu.conj() if value.is_conj() else cpu.neg() if value.is_neg() else cpu
    if isinstance(value, torch.Generator) and value.device.type == "npu":
        seed = value.initial_seed()
        return _generators.setdefault(seed, torch.Generator().manual_seed(seed))
    return value


def copied(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a new device tensor with the bytes of a CPU tensor."""
    new = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
    over(new).copy_(tensor)
    return new


def each(make: Callable[[Any], Any], value: Any) -> Any:
    """Return `value` with `make` applied to each leaf.

    tree_map alone would take as long as the rest of an operator.
    """
    return tree_map(make, value) if isinstance(value, (list, tuple, dict)) else make(value)


def launch(name: str, device: torch.device | None, took_ns: int) -> None:
    """Add the task of an operator to the running profile, if there is one."""
    if device is None or device.type != "npu":
        return
    index = torch.npu.current_device() if device.index is None else device.index
    task = f"cannsim_{name}".encode(), b"AI_CORE", index
    captured = graphs.name_task(*task) if graphs.taking() else 0
    if _cann.cannsim_tasks_wanted() and (captured or not graphs.taking()):
        stream = torch_npu._C._npu_getCurrentRawStreamNoWait(index)
        _cann.cannsim_launch(*task, stream, took_ns, captured)


def kernel(op: Any, compute: Callable[..., Any]) -> Callable[..., Any]:
    """Return `op` for the device, computed on the CPU by `compute`."""
    base = op._schema.name.partition("::")[2]
    arguments = op._schema.arguments
    names = [argument.name for argument in arguments]
    written = [a.name for a in arguments if a.alias_info is not None and a.alias_info.is_write]
    outs = {a.name for a in arguments if a.kwarg_only and a.name in written}

    def run(*args: Any, **more: Any) -> Any:
        given = {**dict(zip(names, args)), **more}
        # collectives are in the task queues; operators are computed at once, and must come behind
        # them
        if _communicators.value:
            torch_npu._C._npu_synchronize()
        device = next((leaf.device for leaf in tree_leaves(given) if on_device(leaf)), None)
        wanted = given.get("device")
        target = torch.device(wanted) if wanted is not None else device or torch.device("npu")
        cpu = {
            name: torch.empty(0, dtype=value.dtype) if name in outs else each(lowered, value)
            for name, value in given.items()
        }
        if wanted is not None:
            cpu["device"] = torch.device("cpu")
        if cpu.get("pin_memory"):
            cpu["pin_memory"] = False
        began = time.perf_counter_ns()
        result = compute(**cpu)
        took = time.perf_counter_ns() - began
        copies = base == "_local_scalar_dense" or (
            base in COPIES and any(on_host(leaf) for leaf in tree_leaves(given))
        )
        originals: dict[
            int, Any
        ] = {}  # the kernel gives back an argument that it has written: so must we
        for name in written:
            for original, stand_in in zip(tree_leaves(given.get(name)), tree_leaves(cpu.get(name))):
                if name in outs and on_device(original):
                    original.resize_(stand_in.shape)
                    over(original).copy_(stand_in)
                originals[id(stand_in)] = original

        def raised(value: Any) -> Any:
            if id(value) in originals:
                return originals[id(value)]
            return (
                copied(value, target)
                if isinstance(value, torch.Tensor) and target.type == "npu"
                else value
            )

        made = each(raised, result)
        if graphs.taking():
            graphs.take(again(cpu, outs, given, result, made))
        return made, None if copies else target, took

    def again(
        cpu: dict[str, Any], outs: set[str], given: dict[str, Any], result: Any, made: Any
    ) -> Callable[[], None]:
        """Repeat the operator on the same memory, for a graph; keep no tensor alive."""
        places = [(name, over(given[name])) for name in outs if on_device(given[name])]
        pairs = zip(tree_leaves(result), tree_leaves(made))
        news = [
            (at, over(new))
            for at, (old, new) in enumerate(pairs)
            if on_device(new) and not on_device(old) and new is not old
        ]

        def work() -> None:
            with torch.no_grad():
                leaves = tree_leaves(compute(**cpu))
            for name, place in places:
                place.copy_(cpu[name])
            for at, place in news:
                place.copy_(leaves[at])

        return work

    def quiet(*args: Any, **more: Any) -> Any:
        # What the stand-in does on the CPU is no operator of the program: no profiler shall see it.
        torch.autograd._enable_record_function(False)
        try:
            with torch.no_grad():
                result, device, took = run(*args, **more)
        finally:
            torch.autograd._enable_record_function(True)
        launch(base, device, took)
        return result

    return quiet


def matmul_backward(grad: Any, self: torch.Tensor, other: torch.Tensor, mask: list[bool]) -> Any:
    """Compute an operator that torch has for nested tensors only.

    torch_npu uses it for the backward of matmul.
    """
    left = self.unsqueeze(0) if self.dim() == 1 else self
    right = other.unsqueeze(-1) if other.dim() == 1 else other
    grad = grad.unsqueeze(-1) if other.dim() == 1 else grad
    grad = grad.unsqueeze(-2) if self.dim() == 1 else grad
    lefts = (grad @ right.mT).sum_to_size(left.shape).reshape(self.shape) if mask[0] else None
    return lefts, (left.mT @ grad).sum_to_size(right.shape).reshape(other.shape) if mask[
        1
    ] else None


def attention(
    query: Any,
    key: Any,
    value: Any,
    mask: Any = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    **more: Any,
) -> Any:
    """Compute scaled_dot_product_attention from simulated operators.

    torch_npu has a fused operator for it.
    """
    return torch.ops.aten._scaled_dot_product_attention_math(
        query, key, value, mask, dropout, is_causal, **more
    )[0]


COMPUTE = {"aten::matmul_backward": matmul_backward}  # the others are torch's own


def install() -> torch.library.Library:
    """Replace the kernels for as long as the returned library exists."""
    library = torch.library.Library("aten", "IMPL")
    for name in torch._C._dispatch_get_registrations_for_dispatch_key(KEY):
        namespace, _, full = name.partition("::")
        base, _, overload = full.partition(".")
        op = getattr(getattr(torch.ops.aten, base, None), overload or "default", None)
        if (
            namespace != "aten" or base in KEEP or op is None
        ):  # None: torch_npu's own, not an operator of this torch
            continue
        if any(
            a.alias_info is not None and not a.alias_info.is_write for a in op._schema.arguments
        ):
            continue  # a view
        library.impl(full, kernel(op, COMPUTE.get(name, op)), KEY, allow_override=True)
    for key in (KEY, "Autograd" + KEY):
        library.impl("scaled_dot_product_attention", attention, key, allow_override=True)
    return library


library = install()
