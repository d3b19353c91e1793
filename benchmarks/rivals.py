"""Install each contender as its users do, in its own process.

Native calls that would need a GPU, CANN or nvtx are replaced by builtins that do nothing.
"""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple


class Rival(NamedTuple):
    """The functions that are called before and after each turn, outside of the measured time.

    They clear what collects in memory. `save` writes the data of the last turn to a file.
    """

    start_turn: Callable[[], object] = lambda: None
    end_turn: Callable[[], object] = lambda: None
    save: Callable[[str], object] | None = None


def install_custom_call(torch: Any, root: Any) -> Rival:
    """Install the function that the vLLM-Ascend profiling guide asks its readers to paste.

    Its two native calls are replaced by getattr and max.
    """
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


def install_global_hooks(torch: Any, root: Any) -> Rival:
    """Install empty global forward hooks."""
    torch.nn.modules.module.register_module_forward_pre_hook(lambda module, args: None)
    torch.nn.modules.module.register_module_forward_hook(lambda module, args, output: None)
    return Rival()


def install_module_hooks(torch: Any, root: Any) -> Rival:
    """Install empty forward hooks on each module."""
    for module in root.modules():
        module.register_forward_pre_hook(lambda module, args: None)
        module.register_forward_hook(lambda module, args, output: None)
    return Rival()


def install_pyt_hooks(torch: Any, root: Any) -> Rival:
    """Install the hooks of vLLM's --enable-layerwise-nvtx-tracing."""
    from vllm.utils import nvtx_pytorch_hooks

    nvtx_pytorch_hooks.nvtx = SimpleNamespace(range_push=len, range_pop=_thread.get_ident)
    nvtx_pytorch_hooks.PytHooks().register_hooks(root)
    return Rival()


def install_record_function(torch: Any, root: Any) -> Rival:
    """Wrap each module call in torch's record_function."""
    original, scope = torch.nn.Module.__call__, torch.profiler.record_function

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with scope(type(self).__name__):
            return original(self, *args, **kwargs)

    torch.nn.Module.__call__ = call
    return Rival()


def run_profiler(torch: Any, root: Any, **options: Any) -> Rival:
    """Run each turn under a new torch profile."""
    profiles: list[Any] = []  # the one of this turn

    def start_turn() -> None:
        profiles[:] = [
            torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], **options)
        ]
        profiles[0].__enter__()

    return Rival(
        start_turn,
        lambda: profiles[0].__exit__(None, None, None),
        lambda path: profiles[0].export_chrome_trace(path),
    )


def install_profiled_record_function(torch: Any, root: Any) -> Rival:
    """Wrap each module call in record_function, under torch's profiler."""
    install_record_function(torch, root)
    return run_profiler(torch, root)


def run_stack_profiler(torch: Any, root: Any) -> Rival:
    """Run torch's profiler with with_stack and with_modules."""
    return run_profiler(torch, root, with_stack=True, with_modules=True)


def install_service_profiler(torch: Any, root: Any) -> Rival:
    """Wrap Module.__call__ as msServiceProfiler wraps each function of its table.

    Its own table has no module calls.
    """
    native = ModuleType("ms_service_profiler")  # a part of CANN
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


def run_viztracer(torch: Any, root: Any) -> Rival:
    """Run each turn under viztracer."""
    from viztracer import VizTracer

    tracer = VizTracer(verbose=0)

    def start_turn() -> None:
        tracer.clear()
        tracer.start()

    return Rival(start_turn, tracer.stop, lambda path: tracer.save(path))


def run_cprofile(torch: Any, root: Any) -> Rival:
    """Run each turn under cProfile."""
    import cProfile

    profile = cProfile.Profile()
    return Rival(profile.enable, profile.disable, lambda path: profile.dump_stats(path))


def use_npu(torch: Any, root: Any) -> Rival:
    """Use the device once, because mstx with streams needs a stream.

    If BENCH_PROFILED is set, torch_npu's profiler collects mstx until the process ends.
    """
    torch.ones(1).npu()
    if "BENCH_PROFILED" in os.environ:
        from torch_npu import profiler

        config = profiler._ExperimentalConfig(
            mstx=True, export_type=["db"], profiler_level=profiler.ProfilerLevel.Level_none
        )
        activities = [profiler.ProfilerActivity.CPU, profiler.ProfilerActivity.NPU]
        profiler.profile(activities=activities, experimental_config=config).start()
    return Rival()


def install_mstx_custom_call(torch: Any, root: Any) -> Rival:
    """Install the guide's function, over the real torch_npu."""
    import torch_npu

    original, mstx = torch.nn.Module.__call__, torch_npu.npu.mstx

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        module_name = self.__class__.__name__
        mstx_id = mstx.range_start(module_name, domain="Module")
        tmp = original(self, *args, **kwargs)
        mstx.range_end(mstx_id, domain="Module")
        return tmp

    torch.nn.Module.__call__ = call
    return use_npu(torch, root)


def install_mstx_plugin(torch: Any, root: Any) -> Rival:
    """Do what mstx_torch_plugin does in a module call.

    The plugin is in Ascend's mstt repository (profiler/example/mstx_torch_plugin), not on PyPI;
    this is a reimplementation. It makes one range around the outermost call, and every call reads
    the state that identifies that call.
    """
    import torch_npu

    original, mstx = torch.nn.Module.__call__, torch_npu.npu.mstx
    state: dict[str, Any] = {"outermost": True, "range": None, "submodules": {}}

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not torch.npu.is_initialized():
            return original(self, *args, **kwargs)
        if state["outermost"]:
            if not any(
                self in modules for modules in state["submodules"].values()
            ) and not isinstance(self, torch.nn.modules.loss._Loss):
                state["range"] = mstx.range_start("forward", torch.npu.current_stream())
                state["submodules"][self] = [
                    module for module in self.modules() if module is not self
                ]
            state["outermost"], self.tx_visited = False, True
        output = original(self, *args, **kwargs)
        if hasattr(self, "tx_visited") and self.tx_visited:
            state["outermost"], self.tx_visited = True, False
            if state["range"] is not None:
                mstx.range_end(state["range"])
                state["range"] = None
        return output

    torch.nn.Module.__call__ = call
    return use_npu(torch, root)


RIVALS = {
    "custom_call": install_custom_call,
    "global_hooks": install_global_hooks,
    "module_hooks": install_module_hooks,
    "pyt_hooks": install_pyt_hooks,
    "record_function": install_record_function,
    "profiled": run_profiler,
    "record_function_profiled": install_profiled_record_function,
    "with_stack": run_stack_profiler,
    "service_profiler": install_service_profiler,
    "viztracer": run_viztracer,
    "cprofile": run_cprofile,
    "npu": use_npu,
    "mstx_custom_call": install_mstx_custom_call,
    "mstx_plugin": install_mstx_plugin,
}
