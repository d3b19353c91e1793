"""The columns of device time in the module trees of a page (trees.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.analysis.device_figures import list_known_figures
from autoinstr.base.text import escape_unprintable
from autoinstr.device.bases import BACKWARD
from autoinstr.device.profile_store import COMMUNICATION

if TYPE_CHECKING:
    from autoinstr.analysis.device_rows import ProcessDevice
    from autoinstr.analysis.tree_lines import TreeLine

DEVICE_KEYS = ("device", "device_self", "backward", "communication", "kernels", "top", "bases")
# Figures with a column of the table. The details of a module have all.
TABLE_KEYS = ("flops", "peak_share", "peak_bytes", "wait_ns")


def describe_device(lines: list[TreeLine], device: ProcessDevice) -> dict[str, Any]:
    """Return what shares are of, and the columns that say what limits a module."""
    figures = list_known_figures((line.node.device for line in lines), device)
    return {
        "device_ns": device.times.base_ns,
        "device_figures": [
            {
                "key": figure.key,
                "title": figure.heading[:1].upper() + figure.heading[1:],
                "unit": figure.unit,
                "hint": figure.hint,
                "in_table": figure.key in TABLE_KEYS,
            }
            for figure in figures
        ],
    }


def build_device_columns(
    rows_with_calls: list[tuple[int, Any]], device: ProcessDevice
) -> dict[str, list[Any]]:
    """Return the device columns of (row, figures), parallel to them."""
    columns: dict[str, list[Any]] = {key: [] for key in DEVICE_KEYS}
    for _, figures in rows_with_calls:
        times = figures.device
        if times is None:
            values: tuple[Any, ...] = (None,) * len(DEVICE_KEYS)
        else:
            backward = times.total_by_basis.get(BACKWARD)
            values = (
                times.total.ns,
                times.own.ns,
                backward.ns if backward is not None else 0,
                times.total_by_kind[COMMUNICATION].ns,
                times.total.kernels,
                escape_unprintable(device.name_top_kernel(times)),
                {basis: part.ns for basis, part in times.total_by_basis.items()},
            )
        for key, value in zip(DEVICE_KEYS, values):
            columns[key].append(value)
    all_times = [figures.device for _, figures in rows_with_calls]
    for figure in list_known_figures(all_times, device):
        for suffix, compute in (("", figure.compute), ("_at_least", figure.compute_least)):
            cells = [None if times is None else compute(times, device) for times in all_times]
            if any(cell is not None for cell in cells):
                columns[figure.key + suffix] = cells
    return columns
