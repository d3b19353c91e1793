"""What is known of a range inside compiled code, for every output."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from autoinstr.base.module_name import ModuleName

COMPILED, SHARED = "compiled", "shared"  # the basis of a range; without one it is `eager`


class CompiledRange(NamedTuple):
    """A range of one module's kernels, or of kernels that several modules share.

    The one module is in `modules` alone. `is_part`: the range continues a call whose first range
    counts as the call. `kernels` are named for shared kernels only."""

    modules: tuple[ModuleName, ...]
    kernels: tuple[str, ...]
    is_part: bool
    is_backward: bool

    @property
    def is_shared(self) -> bool:
        """Whether several modules share the kernels."""
        return bool(self.kernels)
