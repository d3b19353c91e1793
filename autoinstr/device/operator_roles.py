"""Find what an operator is for autograd, from its name."""

from __future__ import annotations

from autoinstr.device.profile_store import ACCUMULATE, ADDITION, NODE, PLAIN

_NODE_PREFIX = "autograd::engine::evaluate_function: "
_ACCUMULATE_SUFFIX = "AccumulateGrad"
_ADDITIONS = ("aten::add", "aten::add_")


def find_role(name: str) -> int:
    """Return the role of an operator in the table OPERATORS."""
    if name.startswith(_NODE_PREFIX):
        return ACCUMULATE if name.endswith(_ACCUMULATE_SUFFIX) else NODE
    return ADDITION if name in _ADDITIONS else PLAIN
