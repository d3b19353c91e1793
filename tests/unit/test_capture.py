"""The settings of a Worker's profiler before the capture, and after it.

tests/vllm/test_profiler_capture.py has a real engine."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from autoinstr.instrument.profilers.vllm.capture import _prepare


@pytest.mark.parametrize("stacks", [False, True])
def test_python_tracers_are_left_out_unless_they_are_asked_for(stacks: bool) -> None:
    """torch_npu's profile has its flags on an interface; vllm-ascend gives it with_modules for
    vLLM's torch_profiler_with_stack."""
    interface = SimpleNamespace(with_stack=False, with_modules=True)
    npu = SimpleNamespace(profiler=SimpleNamespace(prof_if=interface), _delay_iters=3)
    torch = SimpleNamespace(
        with_stack=True, with_modules=True
    )  # vLLM before 0.12 keeps torch's own
    for made in (npu, torch):
        put_back = _prepare(SimpleNamespace(profiler=made), stacks)
        assert (interface.with_modules, npu._delay_iters) == (
            (True, 0) if stacks else (False, 0)
        ) or made is torch
        assert torch.with_stack is (stacks or made is npu)
        put_back()
        assert (
            interface.with_stack,
            interface.with_modules,
            npu._delay_iters,
            torch.with_stack,
        ) == (False, True, 3, True)
