"""Test the facts that a process reads about itself."""

from __future__ import annotations

import importlib.metadata
import sys
from types import SimpleNamespace

import pytest

from autoinstr.base import process_facts


def test_a_package_without_a_version_of_its_own_has_that_of_its_distribution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_facts, "_distribution_versions", {})
    asked: list[str] = []

    def version(name: str) -> str:
        asked.append(name)
        if name != "some-backend":
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.23.0.post1"

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setitem(sys.modules, "some_backend", SimpleNamespace())  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "some_checkout", SimpleNamespace(__version__=None))  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "said", SimpleNamespace(__version__="1.2"))  # type: ignore[arg-type]
    for _ in range(2):
        assert process_facts.get_loaded_version("some_backend") == "0.23.0.post1"
        assert (
            process_facts.get_loaded_version("some_checkout") is None
            and process_facts.get_loaded_version("not_loaded") is None
        )
        assert process_facts.get_loaded_version("said") == "1.2"
    assert asked == ["some-backend", "some-checkout"]
