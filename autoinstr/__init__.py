"""Ranges for every module call of an unedited PyTorch or vLLM program.

For those who do edit: `autoinstr.range` and `autoinstr.mark` (docs/user-ranges.md).
The gate imports this package in processes that may never need it: nothing may be imported here.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from autoinstr.api.ranges import mark as mark
    from autoinstr.api.ranges import range as range


def __getattr__(name: str) -> object:
    if name not in ("mark", "range"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from autoinstr.api import ranges

    globals().update(mark=ranges.mark, range=ranges.range)
    globals().pop(
        "__getattr__", None
    )  # CPython looks up attributes faster in a module that has none
    return globals()[name]
