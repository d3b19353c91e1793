"""Read the counters of AI Core and vector core from torch_npu databases, by kernel.

TASK_PMU_INFO has them for each task, with `aic_metrics` from Level1 on. A ratio is of the time in
which its core ran (`aic_total_time`, `aiv_total_time`), so ratios of several tasks are weighted by
that time; without it, by the duration of the task.
"""

from __future__ import annotations

import sqlite3
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from autoinstr.base.errors import AutoinstrError

if TYPE_CHECKING:
    from collections.abc import Iterable

_SUFFIXES = ("_ratio", "_rate")
_TOTAL = "total_time"
_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE name = 'TASK_PMU_INFO'"
_ROWS = """
    SELECT p.globalTaskId, n.value, t.endNs - t.startNs, m.value, p.value
    FROM TASK_PMU_INFO p JOIN STRING_IDS m ON m.id = p.name
    JOIN TASK t ON t.globalTaskId = p.globalTaskId
    JOIN COMPUTE_TASK_INFO c ON c.globalTaskId = p.globalTaskId
    JOIN STRING_IDS n ON n.id = c.name
    WHERE typeof(p.value) IN ('real', 'integer') AND typeof(t.startNs) = 'integer'
        AND typeof(t.endNs) = 'integer' AND t.startNs <= t.endNs
    ORDER BY p.globalTaskId"""


class KernelCounters:
    """The counters of all tasks of one kernel. `kernels` is their number, `ns` their time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kernels = self.ns = 0
        self._sums: dict[str, float] = {}
        self._weights: dict[str, float] = {}

    def add_task(self, ns: int, values: dict[str, float]) -> None:
        """Add the counters of one task."""
        self.kernels += 1
        self.ns += ns
        for metric, value in values.items():
            if metric.endswith(_SUFFIXES):
                core = metric.partition("_")[0]
                weight = max(0.0, values.get(f"{core}_{_TOTAL}", ns))
                self._sums[metric] = self._sums.get(metric, 0) + value * weight
                self._weights[metric] = self._weights.get(metric, 0) + weight

    def get_ratio(self, metric: str) -> float | None:
        """Return a ratio, 0 to 1; None if its core did not run."""
        weight = self._weights.get(metric)
        return self._sums[metric] / weight if weight else None

    @property
    def metrics(self) -> list[str]:
        """The ratios that are not 0."""
        return [metric for metric, total in self._sums.items() if total]


def read_counters(paths: Iterable[str]) -> list[KernelCounters]:
    """Return the counters of the kernels of some databases, the one with most time first.

    Raise AutoinstrError if a database cannot be read."""
    kernels: dict[str, KernelCounters] = {}
    for path in paths:
        uri = f"{Path(path).absolute().as_uri()}?mode=ro"
        try:
            connection = sqlite3.connect(uri, uri=True)
            try:
                _add_database(connection, kernels)
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise AutoinstrError(f"{path}: its counters cannot be read: {error}") from error
    return sorted(kernels.values(), key=lambda entry: -entry.ns)


def _add_database(connection: sqlite3.Connection, kernels: dict[str, KernelCounters]) -> None:
    if connection.execute(_HAS_TABLE).fetchone() is None:
        return
    for _, rows in groupby(connection.execute(_ROWS), key=lambda row: row[0]):
        values: dict[str, float] = {}
        for _, kernel, task_ns, metric, value in rows:
            name, ns = str(kernel), int(task_ns)
            values[str(metric)] = float(value)
        if name not in kernels:
            kernels[name] = KernelCounters(name)
        kernels[name].add_task(ns, values)


def list_metrics(kernels: Iterable[KernelCounters]) -> list[str]:
    """Return the ratios that any kernel has, in the order of the databases."""
    return list(dict.fromkeys(metric for entry in kernels for metric in entry.metrics))
