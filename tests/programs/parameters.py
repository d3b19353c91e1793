"""Builds torch profilers in every way there is and prints what they became, as JSON: {what:
{parameter: value}}."""

from __future__ import annotations

import inspect
import json
import os
import sys
import warnings

import torch
from torch.profiler import ProfilerActivity, profile, schedule
from torch.profiler import _ExperimentalConfig as Experimental

torch.set_num_threads(1)
FLAGS = (
    "record_shapes",
    "profile_memory",
    "with_stack",
    "with_flops",
    "with_modules",
    "acc_events",
)


class Own(profile):
    """A subclass with arguments of its own."""

    def __init__(self, name, *, record_shapes=False):
        self.name = name
        super().__init__(activities=[ProfilerActivity.CPU], record_shapes=record_shapes)


def shown(profiler) -> dict:
    found = {name: getattr(profiler, name) for name in FLAGS}
    found["activities"] = sorted(activity.name for activity in profiler.activities)
    found["experimental"] = profiler.experimental_config and list(
        map(str, profiler.experimental_config.__getstate__())
    )
    found["schedule"] = [profiler.schedule(step).name for step in range(6)]
    found["is a profile"] = (
        isinstance(profiler, profile)
        and type(profiler) in (profile, Own)
        and type(profiler).__mro__.count(profile) == 1
    )
    return found


def error(call) -> str:
    try:
        call()
    except Exception as wrong:
        return f"{type(wrong).__name__}: {wrong}"
    return "none"


def main() -> None:
    found = {"bare": shown(profile())}
    found["given"] = shown(
        profile(
            activities=[ProfilerActivity.CPU],
            with_flops=True,
            record_shapes=False,
            experimental_config=Experimental(verbose=True),
        )
    )
    found["subclass"] = shown(Own("mine"))
    found["positional"] = error(lambda: profile([ProfilerActivity.CPU]))
    found["unknown"] = error(lambda: profile(colour="red"))
    has_old_argument = "use_cuda" in inspect.signature(profile.__init__).parameters  # until 2.13
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if has_old_argument:
            profile(use_cuda=False)
    found["has use_cuda"] = has_old_argument
    found["warned at"] = [
        os.path.basename(one.filename) for one in caught if "use_cuda" in str(one.message)
    ]

    ready = []
    with profile(
        schedule=schedule(wait=1, warmup=1, active=1),
        on_trace_ready=lambda one: ready.append(one.step_num),
    ) as profiler:
        for _ in range(6):
            torch.ones(3) + 1
            profiler.step()
    found["ready at"] = ready
    found["help"] = (
        profile.__init__.__doc__
        == getattr(profile.__init__, "__wrapped__", profile.__init__).__doc__
    )
    json.dump(found, sys.stdout)


main()
