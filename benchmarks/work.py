"""Define the workloads: programs that call modules. They run in a contender's process."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable

LEAVES = 240
LAYERS = 24
WORKS = {
    "leaf": "240 leaf modules of 12 classes whose forward returns its argument, and their root",
    "step": "a decode step of 24 layers, hidden size 64, one token: 268 module calls, real tensors",
    "vllm": "vLLM 0.32, offline, in one process: 4 layers, 4 prompts, 32 tokens each",
}


def build_leaf(torch: Any) -> tuple[Any, Callable[[], object]]:
    """Build identity modules, so that only the call takes time; return (root, run)."""
    nn = torch.nn
    classes = [
        type(f"Leaf{number}", (nn.Module,), {"forward": lambda self, x: x}) for number in range(12)
    ]
    # As in a real program: a Python module holds the classes by their names.
    globals().update((cls.__name__, cls) for cls in classes)

    class Root(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.leaves = nn.ModuleList(classes[number % 12]() for number in range(LEAVES))
            self.order = list(self.leaves)

        def forward(self, x: Any) -> Any:
            for module in self.order:
                x = module(x)
            return x

    root, x = Root(), torch.zeros(1)
    return root, lambda: root(x)


def build_step(torch: Any) -> tuple[Any, Callable[[], object]]:
    """Build modules that are called like those of a language model; return (root, run).

    They get one, two or three arguments, some by keyword.
    """
    nn, size = torch.nn, 64

    class Norm(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(size))

        def forward(self, x: Any, residual: Any = None) -> Any:
            residual = x if residual is None else x + residual
            return residual * self.weight, residual

    class Rotary(nn.Module):  # type: ignore[misc]
        def forward(self, positions: Any, q: Any, k: Any) -> Any:
            return q + positions, k

    class Attention(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.rotary, self.out = (
                nn.Linear(size, 3 * size),
                Rotary(),
                nn.Linear(size, size),
            )

        def forward(self, positions: Any, hidden: Any) -> Any:
            q, k, v = self.qkv(hidden).chunk(3, -1)
            q, k = self.rotary(positions, q, k)
            return self.out(q * k + v)

    class Mlp(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.up, self.act, self.down = nn.Linear(size, size), nn.SiLU(), nn.Linear(size, size)

        def forward(self, x: Any) -> Any:
            return self.down(self.act(self.up(x)))

    class Layer(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.attention, self.norm2, self.mlp = Norm(), Attention(), Norm(), Mlp()

        def forward(self, positions: Any, hidden: Any, residual: Any) -> Any:
            hidden, residual = self.norm1(hidden, residual)
            hidden, residual = self.norm2(
                self.attention(positions=positions, hidden=hidden), residual
            )
            return self.mlp(hidden), residual

    class Model(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.layers = (
                nn.Embedding(128, size),
                nn.ModuleList(Layer() for _ in range(LAYERS)),
            )
            self.norm, self.head = Norm(), nn.Linear(size, 128)

        def forward(self, token: Any, positions: Any) -> Any:
            hidden, residual = self.embed(token), None
            for layer in self.layers:
                hidden, residual = layer(positions, hidden, residual)
            return self.head(self.norm(hidden, residual)[0]).argmax(-1)

    model, token, positions = Model().eval(), torch.tensor([3]), torch.zeros(1, 1)

    def run() -> object:
        with torch.inference_mode():
            return model(token, positions)

    return model, run


def build_vllm(torch: Any) -> tuple[Any, Callable[[], object]]:
    """Build a real engine in this process; return (model, run).

    `make bench` creates the model beforehand.
    """
    import os

    from vllm import LLM, SamplingParams

    engine = LLM(
        os.environ["BENCH_MODEL"],
        max_model_len=256,
        max_num_seqs=8,
        kv_cache_memory_bytes=64 << 20,
        enforce_eager=True,
        seed=0,
        disable_log_stats=True,
    )
    sampling = SamplingParams(temperature=0, max_tokens=32, ignore_eos=True)
    prompts = ["The capital of France is", "1 2 3 4 5", "To be, or not to be", "A layer costs"]
    model = engine.apply_model(lambda model: model)[0]
    return model, lambda: engine.generate(prompts, sampling, use_tqdm=False)


def count_calls(torch: Any, root: Any, run: Callable[[], object]) -> int:
    """Return the module calls of one run.

    A hook counts all calls except those of classes whose own `__call__` goes straight to `forward`
    (vLLM's compiled models). For these, which are in `root`, the calls of `forward` are counted.
    """
    count = 0
    own_call_modules = [
        module
        for module in root.modules()
        if type(module).__call__ is not torch.nn.Module.__call__ and "forward" not in vars(module)
    ]

    def count_hook(module: Any, *_: Any) -> None:
        nonlocal count
        count += all(module is not own_call_module for own_call_module in own_call_modules)

    def count_forward(forward: Callable[..., object], *args: Any, **kwargs: Any) -> object:
        nonlocal count
        count += 1
        return forward(*args, **kwargs)

    handle = torch.nn.modules.module.register_module_forward_pre_hook(count_hook)
    for module in own_call_modules:
        vars(module)["forward"] = partial(count_forward, module.forward)
    try:
        run()
    finally:
        handle.remove()
        for module in own_call_modules:
            del vars(module)["forward"]
    return count


BUILDERS = {"leaf": build_leaf, "step": build_step, "vllm": build_vllm}
