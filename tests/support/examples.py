"""How many examples the property tests run."""

from __future__ import annotations

import os

QUICK = os.environ.get("HYPOTHESIS_PROFILE") == "quick"  # `make test-unit`


def scale_examples(count: int) -> int:
    """Return `count`, or a twentieth of it (at least five) for `make test-unit`."""
    return max(5, count // 20) if QUICK else count
