"""Where the short path of the module wrapper is provably the same as torch's own way to `forward`.

torch's `_call_impl`, without any hook, only calls `forward`. The wrapper may do that itself when
torch's code is code that was read and compared (`KNOWN`), and when the module's class changes none
of the steps. What can change from call to call is checked at each call, in `modules.py`.
"""

from __future__ import annotations

import zlib
from types import FunctionType, ModuleType
from typing import Any

# crc32 of the text of torch/nn/modules/module.py from `def _slow_forward` to the line that sets
# `__call__` -> the versions that were read (2.1.2 to 2.13.0 from the wheels; between them the way
# without hooks is the same to the letter, only the way with hooks changed).
KNOWN = {
    385231222: "2.1, 2.2",
    3729639153: "2.3",
    4180821185: "2.4",
    754736153: "2.5",
    1034027000: "2.6, 2.7",
    4078316480: "2.8, 2.9",
    2860474229: "2.10 to 2.13",
}

_HOOK_TABLES = ("_backward_hooks", "_backward_pre_hooks", "_forward_hooks", "_forward_pre_hooks")


def call_code(module: ModuleType) -> str | None:
    """The text of torch's calling code, or None where the source is not at hand."""
    try:
        with open(module.__file__ or "", encoding="utf-8") as stream:
            text = stream.read()
        start = text.index("    def _slow_forward(")
        return text[start : text.index("    __call__", start)]
    except (OSError, ValueError, UnicodeDecodeError):
        return None


def torch_is_known(module: ModuleType) -> bool:
    """`module` is torch.nn.modules.module, its calling code is one of KNOWN, and nobody has
    replaced it."""
    cls = module.Module
    for name in ("_call_impl", "_slow_forward", "_wrapped_call_impl"):
        function = cls.__dict__.get(name)
        if (
            not isinstance(function, FunctionType)
            or function.__code__.co_filename != module.__file__
        ):
            return False
    text = call_code(module)
    return text is not None and zlib.crc32(text.encode()) in KNOWN


def forward_line(module: ModuleType) -> int:
    """Number of the line of `_call_impl` that calls forward when there are no hooks: what a frame
    of ours shows as its place."""
    code = module.Module._call_impl.__code__
    first = int(code.co_firstlineno)
    try:
        with open(module.__file__ or "", encoding="utf-8") as stream:
            for number, text in enumerate(stream, 1):
                if number >= first and "return forward_call(" in text:
                    return number
    except (OSError, UnicodeDecodeError):
        pass
    return first


def class_is_plain(cls: type, module_class: Any) -> bool:
    """The class leaves every step between `__call__` and `forward` as torch's Module defines it
    (whose `__call__` may be ours at the moment)."""
    if _owner(cls, "__getattribute__") is not object or _owner(cls, "__call__") is not module_class:
        return False
    for name in ("_call_impl", "_slow_forward", "__getattr__", "_compiled_call_impl"):
        if _lookup(cls, name) is not module_class.__dict__.get(name):
            return False
    # A property of that name on the class would win over the instance's own table.
    return not any(_lookup(cls, name) is not None for name in _HOOK_TABLES)


def _owner(cls: type, name: str) -> Any:
    return next((base for base in cls.__mro__ if name in base.__dict__), None)


def _lookup(cls: type, name: str) -> Any:
    owner = _owner(cls, name)
    return None if owner is None else owner.__dict__[name]
