"""What it costs to collect the tests: each xdist worker imports all test modules."""

from __future__ import annotations

import pytest

from tests.conftest import HEAVY_AFTER_COLLECTION


def test_no_test_module_imports_heavy_packages(request: pytest.FixtureRequest) -> None:
    """Not even by what it imports. This sees the modules that this session has collected."""
    assert request.config.stash[HEAVY_AFTER_COLLECTION] == set()
