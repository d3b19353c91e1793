"""Makes a function of ours look, in frames, like the line of torch that it stands for, or like none
that counts.

Our function takes the place of torch's `_call_impl`. A warning raised in a user's `forward` with
stacklevel=2, a warning filter on `torch.nn.modules.module`, torch._dynamo's rule that skips frames
of torch's files, and a traceback must find what they find without us: so the code object carries
torch's file and line, and the globals are torch's module (which also makes torch's global hook
tables plain globals).
"""

from __future__ import annotations

import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any, Callable, TypeVar

# `warnings` does not count frames of this file name, so a warning that is raised with a stacklevel
# beneath one names the line that it names without us (CPython's Lib/warnings.py,
# `_is_internal_frame`); torch._dynamo skips such frames.
IMPORT_SYSTEM = "<frozen importlib._bootstrap>"

_F = TypeVar("_F", bound=Callable[..., Any])


def no_frame(function: _F) -> _F:
    """The same function under the file name of Python's import system."""
    function.__code__ = function.__code__.replace(co_filename=IMPORT_SYSTEM)
    return function


def as_frame_of(
    function: Callable[..., Any], module: ModuleType, name: str, line: int
) -> FunctionType:
    """A copy of `function` whose globals are `module`'s and whose every instruction lies on `line`
    of the module's file, in a function `name`."""
    assert isinstance(function, FunctionType)
    code = function.__code__
    fields: dict[str, Any] = {
        "co_filename": module.__file__ or code.co_filename,
        "co_name": name,
        "co_firstlineno": line,
    }
    if sys.version_info >= (3, 10):
        fields["co_linetable"] = _one_line(code)
    else:
        fields["co_lnotab"] = b""
    if sys.version_info >= (3, 11):
        fields["co_qualname"] = f"Module.{name}"
    copy = FunctionType(
        code.replace(**fields), module.__dict__, name, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _one_line(code: CodeType) -> bytes:
    """A line table that puts every instruction on the first line (formats: CPython's
    Objects/locations.md, and PEP 626 for 3.10)."""
    table = bytearray()
    if sys.version_info >= (3, 11):
        units = len(code.co_code) // 2
        while units:
            length = min(units, 8)
            table += bytes(
                (0x80 | 13 << 3 | length - 1, 0)
            )  # entry kind 13: no columns; line delta 0
            units -= length
    else:
        left = len(code.co_code)
        while left:
            length = min(left, 254)
            table += bytes((length, 0))
            left -= length
    return bytes(table)
