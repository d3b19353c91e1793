"""Read the tree of a module. A model that torch.compile wraps has the paths of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.base.guard import is_from_signal_handler

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMPILED_CHILD = "_orig_mod"  # where torch.compile(module) keeps the module


def read_named_modules(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, module) of a tree, each module once; nothing if `named_modules()` raises."""
    seen_ids = set()
    try:
        tree = list(root.named_modules())
    # A fault of the program: Module.__init__ was not called, for example. The tree then counts as
    # a tree of one module.
    except Exception as error:
        if is_from_signal_handler(error):
            raise
        return
    for path, module in tree:
        if id(module) not in seen_ids:  # an override may repeat modules; the first path counts
            seen_ids.add(id(module))
            if _COMPILED_CHILD in path:
                path = ".".join(part for part in path.split(".") if part != _COMPILED_CHILD)
            yield path, module


def find_compiled_module(module: Any) -> Any:
    """Return what torch.compile(module) compiles, or the module itself.

    Both have one name, so that a compiled model has the paths of the model."""
    while type(module).__name__ == "OptimizedModule":
        child = getattr(module, "_modules", {}).get(_COMPILED_CHILD)
        if child is None:
            break
        module = child
    return module
