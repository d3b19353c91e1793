"""autoinstr shows which layer, and which part of a step, takes the time in a PyTorch program.

Programs run unedited. Those that you do edit can use `autoinstr.range` and `autoinstr.mark`
(docs/reference/ranges-api.md). The gate imports this package in processes that may never need
it, so this file must not import anything.
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
    # CPython looks up attributes faster in a module without __getattr__
    globals().pop("__getattr__", None)
    return globals()[name]
