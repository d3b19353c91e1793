"""The device time of a row as cells, for CSV and Parquet."""

from __future__ import annotations

from typing import Any

from autoinstr.analysis.device_figures import FIGURES, RATE, SHARE
from autoinstr.device.bases import BACKWARD, RECOMPUTE
from autoinstr.device.profile_store import COMMUNICATION, KINDS

# The columns, with their types as words of parquet/table_file.py.
DEVICE_COLUMNS: dict[str, str] = {
    "device_ns": "int",
    "device_self_ns": "int",
    "kernels": "int",
    "self_kernels": "int",
    "backward_ns": "int",
    "recompute_ns": "int",
    "communication_ns": "int",
    "top_kernel": "text",
    **{figure.key: "float" if figure.unit in (SHARE, RATE) else "int" for figure in FIGURES},
}


def build_device_cells(device: dict[str, Any] | None) -> dict[str, Any]:
    """Return the cells of a row's entry in the JSON report; None where no profile says anything."""
    if device is None:
        return dict.fromkeys(DEVICE_COLUMNS)
    nothing = (0, 0)
    return {
        "device_ns": device["total_ns"],
        "device_self_ns": device["self_ns"],
        "kernels": device["kernels"],
        "self_kernels": device["self_kernels"],
        "backward_ns": device["total_by_basis"].get(BACKWARD, nothing)[1],
        "recompute_ns": device["total_by_basis"].get(RECOMPUTE, nothing)[1],
        "communication_ns": device["kinds"].get(KINDS[COMMUNICATION], nothing)[1],
        "top_kernel": device["top_kernel"],
        **{figure.key: device[figure.key] for figure in FIGURES},
    }
