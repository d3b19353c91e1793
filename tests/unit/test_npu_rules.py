"""The arguments that torch_npu will replace, by the rules alone.

tests/npu/test_parameters.py compares the rules with the real torch_npu."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from autoinstr.instrument.profilers.npu.rules import (
    TorchNpuConstants,
    predict_config_resets,
    predict_profile_resets,
)

METRICS = {"AiCoreNone": "none", "Memory": "memory"}
LEVELS = {"Level0": 0, "Level1": 1, "Level_none": -1}


class Activity(Enum):
    CPU = 1
    NPU = 2


def config(db_anyway: bool = False, **given: Any) -> dict[str, Any]:
    constants = TorchNpuConstants(
        LEVELS, METRICS, ("text", "db"), ("cpu", "mem"), lambda: db_anyway
    )
    return {reset.name: reset.replacement for reset in predict_config_resets(given, constants)}


def profile(
    configured: bool = True, threshold: float | None = None, **given: Any
) -> dict[str, Any]:
    return {
        reset.name: reset.replacement
        for reset in predict_profile_resets(given, set(Activity), configured, threshold)
    }


@pytest.mark.parametrize(
    ("given", "resets"),
    [
        ({}, {}),
        (
            {
                "profiler_level": 1,
                "aic_metrics": "memory",
                "export_type": ["db"],
                "op_attr": True,
                "mstx": True,
            },
            {},
        ),
        ({"aic_metrics": "memory"}, {"aic_metrics": "AiCoreNone"}),  # Level0 by default
        ({"aic_metrics": "none"}, {}),
        ({"profiler_level": 1, "aic_metrics": "odd"}, {"aic_metrics": "its default"}),
        ({"profiler_level": 7}, {"profiler_level": "Level0"}),
        ({"profiler_level": -1}, {"mstx": True}),
        ({"profiler_level": -1, "msprof_tx": True}, {}),
        ({"op_attr": True}, {"op_attr": False}),
        ({"op_attr": True, "db_anyway": True}, {}),
        ({"export_type": "odd"}, {"export_type": "text"}),
        ({"export_type": "odd", "op_attr": True}, {"export_type": "text", "op_attr": False}),
        ({"export_type": {"db"}}, {"export_type": "text"}),
        ({"l2_cache": 1}, {"l2_cache": False}),
        ({"data_simplification": "x"}, {"data_simplification": True}),
        ({"data_simplification": None}, {}),
        ({"gc_detect_threshold": -1}, {"gc_detect_threshold": "off"}),
        ({"gc_detect_threshold": "x"}, {"gc_detect_threshold": "off"}),
        ({"gc_detect_threshold": 0}, {}),
        ({"mstx_domain_include": ["a"]}, {"mstx_domain_include": "nothing"}),
        ({"mstx": True, "mstx_domain_include": ["a"]}, {}),
        (
            {"mstx": True, "mstx_domain_include": ["a"], "mstx_domain_exclude": ["b"]},
            {"mstx_domain_exclude": "nothing"},
        ),
        (
            {"mstx": True, "mstx_domain_include": "a", "mstx_domain_exclude": ["b"]},
            {"mstx_domain_include": "nothing"},
        ),
        ({"mstx": True, "mstx_domain_exclude": [1]}, {"mstx_domain_exclude": "nothing"}),
        ({"host_sys": ["cpu", "odd"]}, {"host_sys": "nothing"}),
        ({"host_sys": None}, {}),
    ],
)
def test_of_config(given: dict[str, Any], resets: dict[str, Any]) -> None:
    assert config(**given) == resets


@pytest.mark.parametrize(
    ("given", "resets"),
    [
        ({}, {}),
        ({"activities": list(Activity), "with_stack": True, "schedule": len}, {}),
        ({"activities": ["odd"]}, {"activities": "all"}),
        ({"activities": [Activity.CPU]}, {"experimental_config": "nothing"}),
        ({"activities": [Activity.CPU], "configured": False}, {}),
        ({"activities": [Activity.NPU], "threshold": 0.0}, {"gc_detect_threshold": "off"}),
        ({"with_flops": "yes"}, {"with_flops": False}),
        (
            {"schedule": 3, "on_trace_ready": "folder"},
            {"schedule": "its default", "on_trace_ready": "its default"},
        ),
    ],
)
def test_of_profile(given: dict[str, Any], resets: dict[str, Any]) -> None:
    assert profile(**given) == resets
