"""The table of emitters. To add one: write a file with a function `make`, and add a row here.

The options accept every name of this table and take their defaults from it. The agent imports an
emitter's file only when the emitter is made: with the recorder alone it imports none of them.
"""

from __future__ import annotations

import importlib
from typing import Callable, NamedTuple

from autoinstr.base.process_facts import has_nvtx_tool
from autoinstr.emitters import profiler_kinds
from autoinstr.emitters.emitter import Emitter, OptionDefaults, Policy

RECORDER = "recorder"
AUTO = "auto"  # a value of the option `emitter`: the agent chooses
METRICS = "metrics"  # the recorder in memory alone, for the option `metrics`
NONE = "none"  # a value of the option `emitter`: the agent stays off


class EmitterRow(NamedTuple):
    """One emitter. `make` returns it or raises EmitterUnavailable; the recorder has none."""

    name: str
    make: Callable[[], Emitter] | None
    policy: Policy


def _make_from(module_name: str) -> Callable[[], Emitter]:
    """Return a function that imports a module of this package and calls its `make`."""

    def make() -> Emitter:
        module = importlib.import_module(f"autoinstr.emitters.{module_name}")
        emitter: Emitter = module.make()
        return emitter

    return make


_ROWS: dict[str, EmitterRow] = {}


def register(row: EmitterRow) -> None:
    """Add an emitter to the table."""
    _ROWS[row.name] = row


for _row in (
    EmitterRow(
        "mstx",
        _make_from("mstx"),
        Policy(
            module="torch_npu",
            profiler_kinds=profiler_kinds.MSTX_COLLECTORS,
            in_auto=True,
            is_used_by_patches=True,
            defaults=OptionDefaults(streams="steps"),
            rangeless_profilers={
                profiler_kinds.TORCH_NPU_WITHOUT_MSTX: "this profile has no ranges: "
                "it was started without mstx, or without the NPU activity"
            },
            silent_remedy="start one (vLLM: /start_profile), "
            "or set when=always, which waits for none",
        ),
    ),
    EmitterRow(
        "nvtx",
        _make_from("nvtx"),
        Policy(
            has_tool=has_nvtx_tool,
            in_auto=True,
            auto_condition="under nsys",
            is_used_by_patches=True,
            silent_reason="no NVTX tool is in this process",
            silent_remedy="start it with nsys profile, or set when=always",
        ),
    ),
    EmitterRow(
        "torch",
        _make_from("torch_events"),
        Policy(
            profiler_kinds=frozenset(
                (
                    profiler_kinds.TORCH,
                    profiler_kinds.TORCH_NPU,
                    profiler_kinds.TORCH_NPU_WITHOUT_MSTX,
                )
            )
        ),
    ),
    EmitterRow(
        RECORDER,
        None,
        Policy(profiler_kinds=None, defaults=OptionDefaults(when="always", name="path:class")),
    ),
    EmitterRow(
        METRICS,
        None,
        Policy(profiler_kinds=None, defaults=OptionDefaults(when="always", name="path:class")),
    ),
):
    register(_row)


def list_emitters() -> tuple[EmitterRow, ...]:
    """Return the rows of all emitters, in the order in which emitter=auto tries them."""
    return tuple(_ROWS.values())


def find_row(name: str) -> EmitterRow:
    """Return the row of an emitter. Raises KeyError for a name that is not in the table."""
    return _ROWS[name]


def find_defaults(name: str) -> OptionDefaults:
    """Return the option defaults of an emitter; of another word (`auto`) the recorder's."""
    return _ROWS.get(name, _ROWS[RECORDER]).policy.defaults


def list_option_words() -> tuple[str, ...]:
    """Return the words that the option `emitter` accepts."""
    return (AUTO, *_ROWS, NONE)


def find_policies(words: tuple[str, ...]) -> list[Policy]:
    """Return the policies of the emitters that a value of the option `emitter` may lead to."""
    return [
        row.policy
        for row in _ROWS.values()
        if row.name in words or (AUTO in words and row.policy.in_auto)
    ]
