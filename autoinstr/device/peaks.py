"""What devices can do at most, as data: dense bf16 products and the bandwidth of device memory.

`source` names the vendor's data sheet; the figures were compared with public pages that quote it,
except those of A100-40GB and H200-NVL. NVIDIA's have bf16 with 2:4 sparsity, which is
twice the dense value. Huawei's public pages have no such figures for the models of the Ascend 910B:
give numbers with `--peak`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from autoinstr.base.errors import UsageError


class Peak(NamedTuple):
    """The limits of a device: 10^12 operations and 10^9 bytes a second.

    `pattern` fits the name that the driver reports, which traces have in `deviceProperties`."""

    name: str
    tflops: float
    gb_per_s: float | None
    pattern: str = ""
    source: str = ""


_A100 = "NVIDIA A100 Tensor Core GPU data sheet (nvidia-a100-datasheet-us-nvidia-1758950)"
_H100 = "NVIDIA H100 Tensor Core GPU data sheet: half of the figures with sparsity"
_H200 = "NVIDIA H200 Tensor Core GPU data sheet: half of the figures with sparsity"
PEAKS = (
    Peak("A100", 312, 2_039, r"A100[- ]SXM4?-80GB", _A100),
    Peak("A100-40GB", 312, 1_555, r"A100-(SXM4|PCIE)-40GB", _A100),
    Peak("A100-PCIe", 312, 1_935, r"A100 80GB PCIe", _A100),
    Peak("H100", 989, 3_350, r"H100 80GB HBM3", _H100),
    Peak("H100-PCIe", 756, 2_000, r"H100 PCIe", _H100),
    Peak("H100-NVL", 835, 3_900, r"H100 NVL", _H100),
    Peak("H200", 989, 4_800, r"H200(?! NVL)", _H200),
    Peak("H200-NVL", 835, 4_800, r"H200 NVL", _H200),
    Peak("B200", 2_250, 8_000, r"\bB200", "NVIDIA HGX B200 data sheet: an eighth of 8 GPUs"),
    Peak("MI300X", 1_307.4, 5_300, r"MI300X", "AMD Instinct MI300X accelerator data sheet"),
)
_PART = re.compile(r"\bMIG\b")  # a part of a device has a part of its peak


def find_peak(device_name: str) -> Peak | None:
    """Return the peak of a device by the name that its driver reports; None if it is unknown."""
    if _PART.search(device_name):
        return None
    return next((peak for peak in PEAKS if re.search(peak.pattern, device_name)), None)


def parse_peak(text: str) -> Peak:
    """Return the peak that a user names: a device of the table, or TFLOP/s and perhaps GB/s with a
    comma between them. Raise UsageError for anything else."""
    for peak in PEAKS:
        if text.lower() == peak.name.lower():
            return peak
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 2 or not all(0 < number < 1e9 for number in numbers):
        names = ", ".join(peak.name for peak in PEAKS)
        raise UsageError(f"--peak {text}: is neither TFLOP/s (or TFLOP/s,GB/s) nor one of: {names}")
    return Peak(text, numbers[0], numbers[1] if len(numbers) > 1 else None)
