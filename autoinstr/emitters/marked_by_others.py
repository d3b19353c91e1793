"""Calls that another library marks itself, in the same tool: an emitter to that tool leaves them to
it, or each would be there twice.

The recorder asks nothing: what others emit does not come to it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import FrameType


class Elsewhere(NamedTuple):
    """One range of another library's."""

    emitter: str  # the tool that it goes to
    target: str  # the target that is the same work
    message: str  # what the other calls it
    domain: str
    caller: str  # its wrapper: only a call that comes straight from this file is marked by it


# torch_npu 2.13 replaces the __next__ of DataLoader's two iterator classes, and
# `torch.serialization.save`; `torch.save`, which scripts call, stays as it is, so only a call that
# comes from torch_npu's wrapper is marked already.
ELSEWHERE = (
    Elsewhere(
        "mstx", "data.fetch", "dataloader", "default", "torch_npu/profiler/_add_mstx_patch.py"
    ),
    Elsewhere(
        "mstx", "save", "save_checkpoint", "default", "torch_npu/profiler/_add_mstx_patch.py"
    ),
)


_NEAR = 6  # frames between here and the caller of a wrapped function: ours, and that function


def marked(emitter: str, target: str, caller: str) -> Elsewhere | None:
    """Who marks a call of a target already, in the tool that `emitter` writes to; `caller` is the
    file that the call comes from."""
    for one in ELSEWHERE:
        if (one.emitter, one.target) == (emitter, target) and caller.replace("\\", "/").endswith(
            "/" + one.caller
        ):
            return one
    return None


def marked_now(target: str) -> str:
    """The emitter in whose tool the call of a target that begins at this moment is marked already;
    "" where there is none."""
    emitters = {one.emitter for one in ELSEWHERE if one.target == target}
    frame: FrameType | None = sys._getframe(1) if emitters else None
    for _ in range(_NEAR):
        if frame is None:
            break
        for emitter in emitters:
            if marked(emitter, target, frame.f_code.co_filename):
                return emitter
        frame = frame.f_back
    return ""
