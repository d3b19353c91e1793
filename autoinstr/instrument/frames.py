"""Makes a wrapper look, in frames, like the function of torch that it replaces, or like none.

The wrapper replaces torch's `_call_impl`. Four things must find what they find without the agent: a
warning that a user's `forward` raises with stacklevel=2, a warning filter on
`torch.nn.modules.module`, torch._dynamo's rule that skips frames of torch's files, and a traceback.
So the code object carries torch's file and line, and the globals are those of torch's module. That
also makes torch's global hook tables plain globals.
"""

from __future__ import annotations

import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any, Callable, TypeVar

# `warnings` does not count frames with this file name (CPython's Lib/warnings.py,
# `_is_internal_frame`), so a warning with a stacklevel names the same line as without the agent.
# torch._dynamo skips such frames.
IMPORT_SYSTEM_FILE = "<frozen importlib._bootstrap>"

_F = TypeVar("_F", bound=Callable[..., Any])


def hide_frame(function: _F) -> _F:
    """Return `function` under the file name of Python's import system."""
    function.__code__ = function.__code__.replace(co_filename=IMPORT_SYSTEM_FILE)
    return function


def copy_with_line_of(
    function: Callable[..., Any], module: ModuleType, name: str, line_number: int
) -> FunctionType:
    """Return a copy of `function` whose frames show one line of another module.

    Its globals are `module`'s. Every instruction has the number `line_number` of the module's file,
    in a function called `name`."""
    assert isinstance(function, FunctionType)
    code = function.__code__
    fields: dict[str, Any] = {
        "co_filename": module.__file__ or code.co_filename,
        "co_name": name,
        "co_firstlineno": line_number,
    }
    if sys.version_info >= (3, 10):
        fields["co_linetable"] = _encode_one_line(code)
    else:
        fields["co_lnotab"] = b""
    if sys.version_info >= (3, 11):
        fields["co_qualname"] = f"Module.{name}"
    copy = FunctionType(
        code.replace(**fields), module.__dict__, name, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def copy_metadata(function: Callable[..., Any], original: Any) -> FunctionType:
    """Give `function` the name, documentation and signature of `original`, and return it.

    torch._dynamo and the pickle of a bound method use the name."""
    assert isinstance(function, FunctionType)
    function.__module__ = original.__module__
    function.__name__ = original.__name__
    function.__qualname__ = (
        "Module.__call__" if original.__name__ == "_wrapped_call_impl" else original.__qualname__
    )
    function.__doc__ = original.__doc__
    function.__dict__.update(original.__dict__)
    function.__dict__["__wrapped__"] = original  # inspect.signature() follows it
    return function


def _encode_one_line(code: CodeType) -> bytes:
    """Return a line table that puts every instruction of `code` on the first line.

    CPython's Objects/locations.md describes the format of 3.11 and later, PEP 626 that of 3.10."""
    table = bytearray()
    if sys.version_info >= (3, 11):
        units = len(code.co_code) // 2
        while units:
            length = min(units, 8)
            table += bytes((0x80 | 13 << 3 | length - 1, 0))  # kind 13: no columns; line delta 0
            units -= length
    else:
        size = len(code.co_code)
        while size:
            length = min(size, 254)
            table += bytes((length, 0))
            size -= length
    return bytes(table)
