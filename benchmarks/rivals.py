"""Puts each contender in place as its users do, in its own process. Native calls that would need a
GPU, CANN or nvtx are no-op builtins."""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple


class Rival(NamedTuple):
    """Called before and after each turn, outside of what is timed: what collects in memory is
    emptied there."""

    before: Callable[[], object] = lambda: None
    after: Callable[[], object] = lambda: None
    save: Callable[[str], object] | None = None  # writes what the last turn has left into a file


def custom_call(torch: Any, root: Any) -> Rival:
    """The function that the vLLM-Ascend profiling guide tells its readers to paste, its two native
    calls replaced by getattr and max."""
    original, start, end = torch.nn.Module.__call__, getattr, max

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        module_name = self.__class__.__name__
        token = start(module_name, "__len__")
        result = original(self, *args, **kwargs)
        end(1, 2)
        del token
        return result

    torch.nn.Module.__call__ = call
    return Rival()


def global_hooks(torch: Any, root: Any) -> Rival:
    torch.nn.modules.module.register_module_forward_pre_hook(lambda module, args: None)
    torch.nn.modules.module.register_module_forward_hook(lambda module, args, output: None)
    return Rival()


def module_hooks(torch: Any, root: Any) -> Rival:
    for module in root.modules():
        module.register_forward_pre_hook(lambda module, args: None)
        module.register_forward_hook(lambda module, args, output: None)
    return Rival()


def pyt_hooks(torch: Any, root: Any) -> Rival:
    """vLLM's --enable-layerwise-nvtx-tracing."""
    from vllm.utils import nvtx_pytorch_hooks

    nvtx_pytorch_hooks.nvtx = SimpleNamespace(range_push=len, range_pop=_thread.get_ident)
    nvtx_pytorch_hooks.PytHooks().register_hooks(root)
    return Rival()


def record_function(torch: Any, root: Any) -> Rival:
    original, scope = torch.nn.Module.__call__, torch.profiler.record_function

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with scope(type(self).__name__):
            return original(self, *args, **kwargs)

    torch.nn.Module.__call__ = call
    return Rival()


def profiled(torch: Any, root: Any, **options: Any) -> Rival:
    """Each turn under a profile of its own."""
    running: list[Any] = []

    def before() -> None:
        running[:] = [
            torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], **options)
        ]
        running[0].__enter__()

    return Rival(
        before,
        lambda: running[0].__exit__(None, None, None),
        lambda path: running[0].export_chrome_trace(path),
    )


def record_function_profiled(torch: Any, root: Any) -> Rival:
    record_function(torch, root)
    return profiled(torch, root)


def with_stack(torch: Any, root: Any) -> Rival:
    return profiled(torch, root, with_stack=True, with_modules=True)


def service_profiler(torch: Any, root: Any) -> Rival:
    """The wrapper that msServiceProfiler puts around each function of its table; its table has no
    module calls, here it has."""
    native = ModuleType("ms_service_profiler")  # comes with CANN
    native.__dict__.update(Profiler=None, Level=None)
    mstx = ModuleType("ms_service_profiler.mstx")
    mstx.__dict__["service_profiler"] = None
    sys.modules.update({"ms_service_profiler": native, "ms_service_profiler.mstx": mstx})
    from msserviceprofiler.vllm_profiler.module_hook import TrackableOriginalFunc, VLLMHookerBase

    start, end = getattr, max

    class Hooker(VLLMHookerBase):  # type: ignore[misc]
        applied_hook_func_name = "module"

        def init(self) -> None:
            original = TrackableOriginalFunc(torch.nn.Module.__call__)

            def hook(*args: Any, **kwargs: Any) -> Any:
                start("module", "__len__")
                result = original(*args, **kwargs)
                end(1, 2)
                return result

            torch.nn.Module.__call__ = self.replace_func(original, None, hook)

    Hooker().init()
    return Rival()


def viztracer(torch: Any, root: Any) -> Rival:
    from viztracer import VizTracer

    tracer = VizTracer(verbose=0)

    def before() -> None:
        tracer.clear()
        tracer.start()

    return Rival(before, tracer.stop, lambda path: tracer.save(path))


def cprofile(torch: Any, root: Any) -> Rival:
    import cProfile

    profile = cProfile.Profile()
    return Rival(profile.enable, profile.disable, lambda path: profile.dump_stats(path))


def npu(torch: Any, root: Any) -> Rival:
    """A device has been used, without which mstx with streams has none; and torch_npu's profiler
    collects mstx from here to the end of the process where BENCH_PROFILED says so."""
    torch.ones(1).npu()
    if "BENCH_PROFILED" in os.environ:
        from torch_npu import profiler as p

        config = p._ExperimentalConfig(
            mstx=True, export_type=["db"], profiler_level=p.ProfilerLevel.Level_none
        )
        p.profile(
            activities=[p.ProfilerActivity.CPU, p.ProfilerActivity.NPU], experimental_config=config
        ).start()
    return Rival()


def mstx_custom_call(torch: Any, root: Any) -> Rival:
    """The guide's function, over the real torch_npu."""
    import torch_npu

    original, mstx = torch.nn.Module.__call__, torch_npu.npu.mstx

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        module_name = self.__class__.__name__
        mstx_id = mstx.range_start(module_name, domain="Module")
        tmp = original(self, *args, **kwargs)
        mstx.range_end(mstx_id, domain="Module")
        return tmp

    torch.nn.Module.__call__ = call
    return npu(torch, root)


def mstx_plugin(torch: Any, root: Any) -> Rival:
    """What a module call does under mstx_torch_plugin (Ascend's mstt repository,
    profiler/example/mstx_torch_plugin; not on PyPI), written anew: one range around the outermost
    call, found by state that all calls look at."""
    import torch_npu

    original, mstx = torch.nn.Module.__call__, torch_npu.npu.mstx
    state: dict[str, Any] = {"outermost": True, "range": None, "below": {}}

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not torch.npu.is_initialized():
            return original(self, *args, **kwargs)
        if state["outermost"]:
            if not any(self in below for below in state["below"].values()) and not isinstance(
                self, torch.nn.modules.loss._Loss
            ):
                state["range"] = mstx.range_start("forward", torch.npu.current_stream())
                state["below"][self] = [module for module in self.modules() if module is not self]
            state["outermost"], self.tx_visited = False, True
        output = original(self, *args, **kwargs)
        if hasattr(self, "tx_visited") and self.tx_visited:
            state["outermost"], self.tx_visited = True, False
            if state["range"] is not None:
                mstx.range_end(state["range"])
                state["range"] = None
        return output

    torch.nn.Module.__call__ = call
    return npu(torch, root)
