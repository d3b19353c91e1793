"""Function calls that another library already marks in the same tool.

An emitter to that tool leaves them out, or the tool would show each call twice. The recorder
records them: ranges of other libraries do not reach it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import FrameType


class MarkedCall(NamedTuple):
    """A range that another library writes."""

    emitter: str  # of the tool that the range goes to
    target: str  # the name of the function target with the same work
    message: str  # the other library's message
    domain: str
    caller: str  # the file of the other library's wrapper; it marks only calls that it makes itself


# torch_npu 2.13 replaces `__next__` of the two iterator classes of DataLoader, and
# `torch.serialization.save`. `torch.save`, which scripts call, stays as it is. So only a call that
# comes from torch_npu's wrapper is marked.
_TORCH_NPU_WRAPPER = "torch_npu/profiler/_add_mstx_patch.py"
MARKED_CALLS = (
    MarkedCall("mstx", "data.fetch", "dataloader", "default", _TORCH_NPU_WRAPPER),
    MarkedCall("mstx", "save", "save_checkpoint", "default", _TORCH_NPU_WRAPPER),
)

# Frames between this one and the caller of a wrapped function: the agent's, and that function's.
_SEARCHED_FRAMES = 6


def find_marked_call(emitter: str, target: str, caller: str) -> MarkedCall | None:
    """Return the range that another library writes for a call of a target, if there is one.

    `caller` is the file that the call comes from.
    """
    path = caller.replace("\\", "/")
    for marked_call in MARKED_CALLS:
        if (marked_call.emitter, marked_call.target) == (emitter, target) and path.endswith(
            "/" + marked_call.caller
        ):
            return marked_call
    return None


def find_marking_emitter(target: str) -> str:
    """Return the emitter in whose tool another library marks the call that begins now; "": none."""
    emitters = {marked_call.emitter for marked_call in MARKED_CALLS if marked_call.target == target}
    frame: FrameType | None = sys._getframe(1) if emitters else None
    for _ in range(_SEARCHED_FRAMES):
        if frame is None:
            break
        for emitter in emitters:
            if find_marked_call(emitter, target, frame.f_code.co_filename):
                return emitter
        frame = frame.f_back
    return ""
