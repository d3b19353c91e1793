"""Calls every module of torch's own test table (torch.testing._internal.common_modules.module_db)
with all its sample inputs.

Prints a digest of each output, or the exception's type and text; `truth` counts the calls by hooks,
in a second call of each sample."""

from __future__ import annotations

import json
import sys
import time
import types
import unittest

import torch
from torch.utils._pytree import tree_map_only
from truth import Truth, digest

try:
    import expecttest  # noqa: F401
except ImportError:  # torch's test code wants it for its own base class, and no more of it
    sys.modules["expecttest"] = types.ModuleType("expecttest")
    sys.modules["expecttest"].TestCase = unittest.TestCase
from torch.testing._internal.common_modules import module_db

torch.set_num_threads(1)


def fresh(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().clone().requires_grad_(tensor.requires_grad)


def call(info, sample, training: bool, dtype: torch.dtype) -> str:
    torch.manual_seed(0)
    module = info.module_cls(*sample.constructor_input.args, **sample.constructor_input.kwargs)
    module.to(dtype).train(training)
    given = tree_map_only(
        torch.Tensor, fresh, (sample.forward_input.args, sample.forward_input.kwargs)
    )
    torch.manual_seed(1)
    try:
        output = module(*given[0], **given[1])
        gradients = []
        first = output[0] if isinstance(output, tuple) else output
        if first.requires_grad:
            first.float().sum().backward()
            gradients = [parameter.grad for parameter in module.parameters()]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return digest((output, gradients))


def main(how: str) -> None:
    truth = Truth()
    outputs, windows, skipped = {}, {}, []
    for info in module_db:
        for training in (False, True):
            label = f"{info.name} {'train' if training else 'eval'}"
            torch.manual_seed(0)
            dtype = (
                torch.float64 if "Fractional" in info.name else torch.float32
            )  # its samples hold doubles whatever is asked for
            samples = info.module_inputs_func(
                info, device="cpu", dtype=dtype, requires_grad=True, training=training
            )
            outputs[label] = []
            begin = time.perf_counter_ns()
            for number, sample in enumerate(samples):
                if sample.forward_input is None:
                    skipped.append(f"{label} {number}: has no forward input")
                    continue
                plain = call(info, sample, training, dtype)
                if how == "truth":
                    truth.start(label)
                again = call(info, sample, training, dtype)
                if how == "truth":
                    truth.stop()
                assert plain == again, (label, number)
                outputs[label].append(plain)
            windows[label] = (begin, time.perf_counter_ns())
    print(
        json.dumps(
            {
                "entries": len(module_db),
                "outputs": outputs,
                "windows": windows,
                "skipped": skipped,
                "counts": truth.table(),
            }
        )
    )


main(sys.argv[1])
