"""What the agent must agree with: calls counted by torch's own global hooks, and digests of results
that differ when one bit differs.

Programs import this from the folder they lie in. Per-module hooks would not do: they switch off
TransformerEncoder's fast path."""

from __future__ import annotations

import hashlib
import io
import pickle
import threading
from collections import Counter
from typing import Any

import torch
from torch.nn.modules import module as calls


class Truth:
    """Counts module calls by (class of the root, final path, class). The naming is written anew
    here, from the rule and not from our code: an instance is called by its path in the largest tree
    that has been an outermost call, the first of equals."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, int]] = Counter()
        self._label = ""
        self._running = threading.local()
        self._names: dict[
            int, tuple[int, str, str, str]
        ] = {}  # id -> size of the tree, root, path, class
        self._kept: list[Any] = []  # so that no id comes twice

    def start(self, label: str) -> None:
        """Count under this label from now on."""
        self._label = label
        self._running.__dict__.clear()
        self._handles = [
            calls.register_module_forward_pre_hook(self._begin),
            calls.register_module_forward_hook(self._end, always_call=True),
        ]

    def stop(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _begin(self, module: Any, args: Any) -> None:
        running = self._running.__dict__.setdefault("modules", [])
        if not running:
            self._name_tree(module)
        elif id(module) not in self._names:
            self._name_tree(running[0])
            if id(module) not in self._names:
                _, root, path, _ = self._names[id(running[-1])]
                self._name(
                    module,
                    1,
                    root,
                    f"{path}.{type(module).__name__}?" if path else f"{type(module).__name__}?",
                )
        running.append(module)
        self.counts[self._label, id(module)] += 1

    def _end(self, module: Any, args: Any, result: Any) -> None:
        running = self._running.modules
        while running and running.pop() is not module:
            pass

    def _name_tree(self, root: Any) -> None:
        tree = list(root.named_modules())
        old = self._names.get(id(root))
        label, prefix, size = (
            (old[1], old[2], max(len(tree), old[0]))
            if old
            else (
                (getattr(type(root), "cls_to_become", None) or type(root)).__name__,
                "",
                len(tree),
            )
        )
        for path, module in tree:
            if id(module) not in self._names or self._names[id(module)][0] < size:
                self._name(module, size, label, ".".join(part for part in (prefix, path) if part))

    def _name(self, module: Any, size: int, root: str, path: str) -> None:
        self._kept.append(module)
        becomes = getattr(
            type(module), "cls_to_become", None
        )  # of a lazy module, which is called by what it becomes
        self._names[id(module)] = (size, root, path, (becomes or type(module)).__name__)

    def table(self) -> dict[str, dict[str, int]]:
        """label -> "root class|path|class" -> calls."""
        table: dict[str, Counter[str]] = {}
        for (label, key), count in self.counts.items():
            _, root, path, cls = self._names[key]
            table.setdefault(label, Counter())[f"{root}|{path}|{cls}"] += count
        return {label: dict(counter) for label, counter in table.items()}


def digest(value: Any) -> str:
    """Equal for two results only if every bit, every shape and every type is equal."""
    digester = hashlib.sha256()
    _feed(digester, value)
    return digester.hexdigest()[:16]


def _feed(digester: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        shape = "nested" if value.is_nested else tuple(value.shape)
        digester.update(
            f"{type(value).__name__} {value.dtype} {shape} {value.requires_grad}".encode()
        )
        if value.is_nested:
            return _feed(digester, list(value.unbind()))
        plain = value.detach().contiguous()
        digester.update(
            plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""
        )
    elif isinstance(value, dict):  # ModelOutput is one
        for key in value:
            digester.update(repr(key).encode())
            _feed(digester, value[key])
    elif isinstance(value, (list, tuple)):
        digester.update(f"{type(value).__name__}{len(value)}".encode())
        for one in value:
            _feed(digester, one)
    elif hasattr(value, "key_cache") or hasattr(value, "layers"):  # a cache of transformers
        digester.update(type(value).__name__.encode())
    else:
        digester.update(repr(value).encode())


class _Pickler(pickle.Pickler):
    def persistent_id(self, thing: Any) -> Any:
        return (
            digest(thing) if isinstance(thing, torch.Tensor) else None
        )  # torch pickles the addresses of storages


def pickled(thing: Any) -> str:
    """A digest of the bytes of a pickle."""
    stream = io.BytesIO()
    _Pickler(stream).dump(thing)
    return hashlib.sha256(stream.getvalue()).hexdigest()[:16]


def traces_on(module: torch.nn.Module) -> dict[str, Any]:
    """Everything of a module in which something of ours could have been left."""
    return {
        "vars": {name: sorted(vars(one)) for name, one in module.named_modules()},
        "state": digest(module.state_dict()),
        "pickle": pickled(module),
        "class": {
            name: sorted(set(vars(type(one))) - {"__slotnames__"})
            for name, one in module.named_modules()
        },
    }
