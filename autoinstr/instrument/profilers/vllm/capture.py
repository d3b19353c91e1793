"""Profiles what a Worker does before it serves: warm-up and graph capture (option `capture`).

`only` uses a session of its own. `through` uses one that stays open until stop_profile, as the
guides' edit of vLLM's engine/core.py does.

The Worker's own `profile` starts and stops the profiler. So it is the profiler that vLLM or its
platform would use, in its directory. It starts after the memory was measured, so the size of the KV
cache does not change. The CPU platform warms up while it measures. There the profiler starts
earlier, but only if the size of the KV cache is set.

Python stacks, vLLM's default, are left out of such a session unless the user asks for them. The
Python calls of a compilation fill all memory: inductor ran for 49 s, and the Worker was killed.
"""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base import log
from autoinstr.base.guard import contain_errors, log_failure
from autoinstr.instrument import importhook
from autoinstr.instrument.profilers.patched_names import BOUNDS, select_rows
from autoinstr.instrument.profilers.replace import replace

if TYPE_CHECKING:
    from types import ModuleType

PREFIX = "capture"  # of the trace of a session of its own, if this vLLM takes a prefix
# The attributes of a profiler object that hold BOUNDS.
_BOUND_ATTRIBUTES = ("_delay_iters", "_max_iters")


class Capture:
    """The profile of the capture in this process.

    A process has one Worker, and a Worker has one profiler.
    """

    def __init__(self, through: bool, stacks: bool, is_busy: Callable[[], bool]) -> None:
        """`stacks`: the user has set whether there are Python stacks.

        `is_busy` returns True if another profiler runs in this process.
        """
        self._through = through
        self._stacks = stacks
        self._is_busy = is_busy
        self._worker: Any = None  # the Worker whose session is open
        self._profile: Any = None  # the original `profile` of its class
        self._restore: Callable[[], None] = lambda: None
        self._has_swallowed_start = False  # the program's own start joined the open session

    def apply(self) -> None:
        """Register with the import hook."""
        for row in select_rows("worker made"):
            importhook.register(row.module, self._patch_wrapper)

    def _patch_wrapper(self, module: ModuleType) -> None:
        def make(original: Any) -> Any:
            def init_worker(self_: Any, *args: Any, **kwargs: Any) -> Any:
                result = original(self_, *args, **kwargs)
                self._patch_worker(getattr(self_, "worker", None))
                return result

            return init_worker

        wrapper = getattr(module, "WorkerWrapperBase", None)
        if wrapper is not None:
            replace(wrapper, "init_worker", make)

    @contain_errors("preparing the profile of the capture")
    def _patch_worker(self, worker: Any) -> None:
        """Patch the class that is really used: a platform's, or one that --worker-cls names."""
        cls = type(worker)
        if not all(
            callable(getattr(cls, name, None)) for name in ("compile_or_warm_up_model", "profile")
        ):
            return
        replace(cls, "profile", self._make_profile)
        replace(cls, "compile_or_warm_up_model", self._make_warm_up)
        replace(cls, "determine_available_memory", self._make_measurement)

    # -- the methods of the Worker -----------------------------------------------------------------

    def _make_measurement(self, original: Any) -> Any:
        def determine_available_memory(worker: Any, *args: Any, **kwargs: Any) -> Any:
            if _warms_up_during_measurement(worker):
                self._begin(worker)
            return original(worker, *args, **kwargs)

        return determine_available_memory

    def _make_warm_up(self, original: Any) -> Any:
        def compile_or_warm_up_model(worker: Any, *args: Any, **kwargs: Any) -> Any:
            self._begin(worker)
            try:
                return original(worker, *args, **kwargs)
            finally:
                if not self._through:
                    self._end(worker)

        return compile_or_warm_up_model

    def _make_profile(self, original: Any) -> Any:
        self._profile = original

        def profile(worker: Any, is_start: bool = True, *args: Any, **kwargs: Any) -> Any:
            if worker is not self._worker:
                return original(worker, is_start, *args, **kwargs)
            if is_start:
                if self._has_swallowed_start:  # a second start does what it does without the agent
                    return original(worker, is_start, *args, **kwargs)
                self._has_swallowed_start = True
                return None
            try:
                return original(worker, is_start, *args, **kwargs)
            finally:
                self._close()

        return profile

    # -- the session -------------------------------------------------------------------------------

    @contain_errors("starting the profile of the capture")
    def _begin(self, worker: Any) -> None:
        if self._worker is not None:
            return
        config = getattr(worker, "profiler_config", None) or getattr(
            getattr(worker, "vllm_config", None), "profiler_config", None
        )
        obstacle = "another profiler runs" if self._is_busy() else None
        if getattr(config, "capture_torch_profiler", False):
            obstacle = "vLLM profiles it itself (capture_torch_profiler)"
        if getattr(config, "profiler", None) == "proton":
            obstacle = "the profiler is proton, which follows graphs itself"
        if obstacle:
            log.write_once("capture", "warning", "capture is not profiled", reason=obstacle)
            return
        self._restore = _prepare(worker, self._stacks)
        arguments = {}
        if not self._through and "profile_prefix" in inspect.signature(self._profile).parameters:
            arguments["profile_prefix"] = PREFIX
        try:
            self._profile(worker, True, **arguments)
        except Exception as error:
            self._restore()
            log_failure("starting the profile of the capture", error)
            return
        self._worker, self._has_swallowed_start = worker, False

    @contain_errors("ending the profile of the capture")
    def _end(self, worker: Any) -> None:
        if worker is self._worker:
            try:
                self._profile(worker, False)
            finally:
                self._close()

    @contain_errors("ending the profile of the capture")
    def _close(self) -> None:
        self._worker = None
        self._restore()


def _prepare(worker: Any, stacks: bool) -> Callable[[], None]:
    """Let the next session of the Worker begin at once and last until it is stopped.

    Return a function that restores the settings after the session.
    """
    wrapper = getattr(worker, "profiler", None)
    if wrapper is None:  # vLLM makes it at the first start, from the configuration
        config = getattr(worker, "profiler_config", None)
        if config is None:
            return lambda: None
        unbounded_config = copy.copy(config)
        for name in BOUNDS if stacks else (*BOUNDS, "torch_profiler_with_stack"):
            if hasattr(unbounded_config, name):
                value_type = type(getattr(unbounded_config, name))
                object.__setattr__(unbounded_config, name, value_type(0))
        worker.profiler_config = unbounded_config

        def restore_config() -> None:
            worker.profiler_config = config
            worker.profiler = None  # the next one is made with its own name and bounds

        return restore_config
    # torch's profiler, inside vLLM's wrapper or (before 0.12) without one.
    profiler = getattr(wrapper, "profiler", wrapper)
    saved_values = [
        (wrapper, name, getattr(wrapper, name))
        for name in _BOUND_ATTRIBUTES
        if hasattr(wrapper, name)
    ]
    for owner, name in () if stacks else _list_tracer_flags(profiler):
        saved_values.append((owner, name, getattr(owner, name)))
    for owner, name, value in saved_values:
        setattr(owner, name, type(value)(0))

    def restore_values() -> None:
        for owner, name, value in saved_values:
            setattr(owner, name, value)

    return restore_values


def _list_tracer_flags(profiler: Any) -> list[tuple[Any, str]]:
    """Return the attributes that make a profiler trace Python calls.

    torch's profiler has its own; torch_npu's are on its interface.
    """
    interface = getattr(profiler, "prof_if", None)
    flags = [(profiler, "with_stack"), (interface, "with_stack"), (interface, "with_modules")]
    return [(owner, name) for owner, name in flags if hasattr(owner, name)]


def _warms_up_during_measurement(worker: Any) -> bool:
    """Return True on the CPU platform if the size of the KV cache is set.

    Then the memory in use does not change that size.
    """
    device = getattr(getattr(worker, "device", None), "type", None)
    cache_bytes = getattr(getattr(worker, "cache_config", None), "kv_cache_memory_bytes", None)
    return device == "cpu" and cache_bytes is not None
