"""Decides where the short path of the module wrapper is equivalent to torch's own path to
`forward`.

Without hooks, torch's `_call_impl` only calls `forward`. The wrapper may do so itself under two
conditions: torch's calling code is one that was read and compared (`KNOWN_CALL_CODE`), and the
class of the module changes none of the steps. The wrapper checks at each call what can change
between calls (hot_call.py).
"""

from __future__ import annotations

import re
import sys
import zlib
from types import FunctionType, GetSetDescriptorType, ModuleType
from typing import Any

from autoinstr.base.class_facts import find_attribute, find_owner, get_entries
from autoinstr.base.system import read_file

# crc32 of the text of torch/nn/modules/module.py from `def _slow_forward` to the line that sets
# `__call__` -> the versions that were read. They are 2.1.2 to 2.14.1, from the wheels. The path
# without hooks is identical in all of them; only the path with hooks differs.
KNOWN_CALL_CODE = {
    385231222: "2.1, 2.2",
    3729639153: "2.3",
    4180821185: "2.4",
    754736153: "2.5",
    1034027000: "2.6, 2.7",
    4078316480: "2.8, 2.9",
    2860474229: "2.10 to 2.14",
}

OLDEST = (2, 1)  # the first version of torch that is supported

_STEPS = ("_call_impl", "_slow_forward", "__getattr__", "_compiled_call_impl")
_HOOK_TABLES = ("_backward_hooks", "_backward_pre_hooks", "_forward_hooks", "_forward_pre_hooks")


def explain_unusable_torch() -> tuple[str, str]:
    """Return why the agent cannot work with the module `torch` of this program, and the log level.

    The text is empty for a torch that can be used. A program's own `torch.py` is no fault."""
    torch = sys.modules.get("torch")
    if not hasattr(sys.modules.get("torch.nn.modules.module"), "Module"):
        place = getattr(torch, "__file__", None)
        return f"{place} is not PyTorch: it has no torch.nn.modules.module.Module", "info"
    version = str(getattr(torch, "__version__", ""))
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers and (0, 0) < tuple(map(int, numbers.groups())) < OLDEST:
        return f"torch {version} is older than {OLDEST[0]}.{OLDEST[1]}", "warning"
    return "", ""


def read_call_code(module: ModuleType) -> str | None:
    """Return the text of torch's calling code; None if its source cannot be read."""
    try:
        text = read_file(module.__file__ or "").decode()
        start = text.index("    def _slow_forward(")
        return text[start : text.index("    __call__", start)]
    except (OSError, ValueError, UnicodeDecodeError):
        return None


def is_known_torch(module: ModuleType) -> bool:
    """Return whether the calling code is in KNOWN_CALL_CODE and no other program replaced it.

    `module` is torch.nn.modules.module."""
    cls = module.Module
    for name in ("_call_impl", "_slow_forward", "_wrapped_call_impl"):
        function = cls.__dict__.get(name)
        if (
            not isinstance(function, FunctionType)
            or function.__code__.co_filename != module.__file__
        ):
            return False
    text = read_call_code(module)
    return text is not None and zlib.crc32(text.encode()) in KNOWN_CALL_CODE


def find_forward_line(module: ModuleType) -> int:
    """Return the number of the line in `_call_impl` that calls `forward` without hooks.

    Frames of the wrapper show that line."""
    code = module.Module._call_impl.__code__
    first_line = int(code.co_firstlineno)
    try:
        lines = read_file(module.__file__ or "").decode().splitlines()
        for line_number, text in enumerate(lines, 1):
            if line_number >= first_line and "return forward_call(" in text:
                return line_number
    except (OSError, UnicodeDecodeError):
        pass
    return first_line


def copy_call_steps(module_class: Any) -> dict[str, Any]:
    """Return the attributes of torch's Module on the way from `__call__` to `forward`."""
    entries = get_entries(module_class)
    return {name: entries.get(name) for name in _STEPS}


def is_plain_class(cls: type, module_class: Any, steps: dict[str, Any]) -> bool:
    """Return whether the class keeps every step between `__call__` and `forward` as torch's Module
    defined it when `steps` was copied.

    `Module.__call__` may be our wrapper at the moment. Code of the program does not run here."""
    if find_owner(cls, "__getattribute__") is not object:
        return False
    if find_attribute(cls, "__call__") is not get_entries(module_class).get("__call__"):
        return False
    if any(find_attribute(cls, name) is not step for name, step in steps.items()):
        return False
    if any(
        type(find_attribute(cls, name)) is not GetSetDescriptorType
        for name in ("__dict__", "__weakref__")
    ):
        return False
    # A property of that name on the class would take precedence over the instance's own table.
    return not any(find_owner(cls, name) for name in _HOOK_TABLES)
