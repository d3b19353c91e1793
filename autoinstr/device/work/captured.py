"""The work of operators that ran while a graph was captured.

Such an operator computes nothing itself: each replay of its launch does the work. So it is no work
of the profile, and its cost is kept by its first launch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoinstr.device.profile_store import LAUNCHES, OPERATORS, WORK
from autoinstr.device.work.shapes import CallCost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoinstr.device.profile_store import ProfileStore

CAPTURED_WORK = "CAPTURED_WORK"  # as WORK
OPERATOR, LAUNCH = 0, 1  # kinds of rows
_MAKE = f"CREATE TABLE IF NOT EXISTS {CAPTURED_WORK} AS SELECT * FROM {WORK} WHERE 0"
_BETWEEN = "startNs BETWEEN ? AND ?"
_ROWS = f"""
    SELECT tid, startNs, {OPERATOR}, endNs, flops, operandBytes FROM {WORK}
    UNION ALL
    SELECT tid, startNs, {OPERATOR}, endNs, flops, operandBytes FROM {CAPTURED_WORK}
    UNION ALL
    SELECT tid, startNs, {LAUNCH}, correlation, 0, 0 FROM {LAUNCHES} WHERE NOT graph
    ORDER BY 1, 2, 3"""


def set_captured_work_apart(store: ProfileStore, windows: Sequence[tuple[int, int]]) -> None:
    """Move the work of operators that began in some windows of time out of WORK."""
    store.connection.execute(_MAKE)
    for window in windows:
        insert = f"INSERT INTO {CAPTURED_WORK} SELECT * FROM {WORK} WHERE {_BETWEEN}"
        store.connection.execute(insert, window)
        store.connection.execute(f"DELETE FROM {WORK} WHERE {_BETWEEN}", window)


class LaunchCosts:
    """The cost of operators, for the first of their launches that is asked for.

    `has_operators` says whether the profile has any operator, so that the work is known."""

    def __init__(self, store: ProfileStore) -> None:
        store.connection.execute(_MAKE)
        self._costs: list[CallCost] = []  # of operators
        self._operators: dict[int, int] = {}  # by the correlation of calls inside them
        thread: int | None = None
        end = 0
        for tid, start, kind, value, flops, operand_bytes in store.query(_ROWS):
            if tid != thread:
                thread, end = tid, start
            if kind == OPERATOR:
                if start >= end:  # else it lies in another one
                    end = value
                    self._costs.append(CallCost(flops, operand_bytes))
            elif start < end:
                self._operators[value] = len(self._costs) - 1
        self.has_operators = bool(store.counts[OPERATORS])
        self._taken: set[int] = set()

    def take_cost(self, correlation: int) -> CallCost | None:
        """Return the cost of the operator around a launch; None if an earlier launch has it, or
        there is no operator."""
        operator = self._operators.get(correlation)
        if operator is None or operator in self._taken:
            return None
        self._taken.add(operator)
        return self._costs[operator]
