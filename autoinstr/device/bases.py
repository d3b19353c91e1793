"""The bases: how the module of a kernel was found. Each kernel has exactly one."""

from __future__ import annotations

EAGER = "eager"  # its launch lies in a call of the module
BACKWARD = "backward"  # a node of the backward pass, whose forward operator lies in the module
RECOMPUTE = "recompute"  # a call of the module inside such a node: a checkpoint runs again
GRAPH = "graph"  # a replayed graph, whose capture is known
BEFORE = "before"  # launched before the profile began
OUTSIDE = "outside"  # no module called it
UNKNOWN = "unknown"

BASES = (EAGER, BACKWARD, RECOMPUTE, GRAPH, BEFORE, OUTSIDE, UNKNOWN)
CODES = {basis: code for code, basis in enumerate(BASES)}

# Why a kernel is unknown.
NO_LAUNCH = "the profile does not have their launch"
NO_LAUNCHES = "the profile has no launches: it was made without runtime events"
REPLAYED = "replayed from a graph: give the trace of its capture with --capture"
NO_CAPTURE = "replayed from a graph that no capture fits"
NO_FORWARD = "backward of operators that the profile does not have"
NO_OPERATOR = "launched without an operator, by a thread of which the profile has none"
REASONS = (NO_LAUNCH, NO_LAUNCHES, REPLAYED, NO_CAPTURE, NO_FORWARD, NO_OPERATOR)

# Lines of their own, which stand for no module.
ACCUMULATION_LINE = "[AccumulateGrad]"
GRADIENT_SUM_LINE = "[gradient sum]"
