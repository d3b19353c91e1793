"""Temporary tables that hold the events of a torch.profiler trace.

Times are nanoseconds from the trace's own base.
"""

from __future__ import annotations

OPERATORS, LAUNCHES, DEVICE, FLOWS = "temp.OPERATORS", "temp.LAUNCHES", "temp.DEVICE", "temp.FLOWS"
COLUMNS = {
    OPERATORS: """startNs INTEGER, endNs INTEGER, tid INTEGER, name INTEGER, external INTEGER,
        sequence INTEGER, forward INTEGER, types INTEGER, shapes INTEGER, role INTEGER,
        cut INTEGER""",
    LAUNCHES: """startNs INTEGER, endNs INTEGER, tid INTEGER, name INTEGER, correlation INTEGER,
        external INTEGER""",
    DEVICE: """startNs INTEGER, endNs INTEGER, device INTEGER, stream INTEGER, context INTEGER,
        correlation INTEGER, name INTEGER, kind INTEGER, collective INTEGER, grp INTEGER,
        type INTEGER, elements INTEGER""",
    FLOWS: "tid INTEGER, startNs INTEGER, flow INTEGER",
}
# OPERATORS.role, which decides how link_sweep.py treats an operator.
ANNOTATION, PLAIN = 0, 1
ENGINE = 2  # autograd's event around each node of the backward pass
OWN_EVENT = 3  # an event of our own emitter (own_ranges.py)
