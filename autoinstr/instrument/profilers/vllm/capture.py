"""Profiles what a Worker does before it serves, warm-up and graph capture: in a session of its own
(`only`), or in one that stays open until stop_profile (`through`), as the hand edit of vLLM's
engine/core.py does.

The Worker's own `profile` starts and stops the profiler, so it is the one that vLLM or its platform
would use, in its directory. It starts after the memory was measured: the size of the KV cache stays
what it is. (The CPU platform warms up while it measures; there it starts earlier only where the
size of the KV cache is given.)

Python stacks, vLLM's default, are left out of such a session unless they are asked for: the Python
calls of a compilation fill all memory (measured: 49 s of inductor, and the Worker was killed).
"""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base import log
from autoinstr.base.guard import contained, failed
from autoinstr.instrument import importhook
from autoinstr.instrument.profilers.patched_names import BOUNDS, rows
from autoinstr.instrument.profilers.replace import replace

if TYPE_CHECKING:
    from types import ModuleType

PREFIX = "capture"  # of the trace of a session of its own, where this vLLM takes one
# What table.BOUNDS are of a profiler that has been made.
_BOUNDS_MADE = ("_delay_iters", "_max_iters")


class Capture:
    """The capture of the Worker of this process. There is one Worker a process, and one profiler a
    Worker."""

    def __init__(self, through: bool, stacks: bool, busy: Callable[[], bool]) -> None:
        """stacks: the user has said whether there are Python stacks. busy: another profiler runs in
        this process."""
        self._through = through
        self._stacks = stacks
        self._busy = busy
        self._worker: Any = None  # whose session is open
        self._profile: Any = None  # what `profile` of its class was
        self._restore: Callable[[], None] = lambda: None
        self._absorbed = False  # the program's own start

    def apply(self) -> None:
        """Register with the import hook."""
        for row in rows("worker made"):
            importhook.register(row.module, self._watch)

    def _watch(self, module: ModuleType) -> None:
        def make(original: Any) -> Any:
            def init_worker(self_: Any, *args: Any, **kwargs: Any) -> Any:
                result = original(self_, *args, **kwargs)
                self._made(getattr(self_, "worker", None))
                return result

            return init_worker

        wrapper = getattr(module, "WorkerWrapperBase", None)
        if wrapper is not None:
            replace(wrapper, "init_worker", make)

    @contained("preparing the profile of the capture")
    def _made(self, worker: Any) -> None:
        """The class that is really used is known now: a platform's, or one that --worker-cls
        names."""
        cls = type(worker)
        if not all(
            callable(getattr(cls, name, None)) for name in ("compile_or_warm_up_model", "profile")
        ):
            return
        replace(cls, "profile", self._make_profile)
        replace(cls, "compile_or_warm_up_model", self._make_captured)
        replace(cls, "determine_available_memory", self._make_measured)

    # -- the methods of the Worker -----------------------------------------------------------------

    def _make_measured(self, original: Any) -> Any:
        def determine_available_memory(worker: Any, *args: Any, **kwargs: Any) -> Any:
            if _warms_up_here(worker):
                self._begin(worker)
            return original(worker, *args, **kwargs)

        return determine_available_memory

    def _make_captured(self, original: Any) -> Any:
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
                if self._absorbed:  # a second start is what it is without us
                    return original(worker, is_start, *args, **kwargs)
                self._absorbed = True
                return None
            try:
                return original(worker, is_start, *args, **kwargs)
            finally:
                self._closed()

        return profile

    # -- the session -------------------------------------------------------------------------------

    @contained("starting the profile of the capture")
    def _begin(self, worker: Any) -> None:
        if self._worker is not None:
            return
        config = getattr(worker, "profiler_config", None) or getattr(
            getattr(worker, "vllm_config", None), "profiler_config", None
        )
        other = "another profiler runs" if self._busy() else None
        if getattr(config, "capture_torch_profiler", False):
            other = "vLLM profiles it itself (capture_torch_profiler)"
        if getattr(config, "profiler", None) == "proton":
            other = "the profiler is proton, which follows graphs itself"
        if other:
            log.once("capture", "warning", "capture is not profiled", reason=other)
            return
        self._restore = _prepare(worker, self._stacks)
        arguments = {}
        if not self._through and "profile_prefix" in inspect.signature(self._profile).parameters:
            arguments["profile_prefix"] = PREFIX
        try:
            self._profile(worker, True, **arguments)
        except Exception as error:
            self._restore()
            failed("starting the profile of the capture", error)
            return
        self._worker, self._absorbed = worker, False

    @contained("ending the profile of the capture")
    def _end(self, worker: Any) -> None:
        if worker is self._worker:
            try:
                self._profile(worker, False)
            finally:
                self._closed()

    @contained("ending the profile of the capture")
    def _closed(self) -> None:
        self._worker = None
        self._restore()


def _prepare(worker: Any, stacks: bool) -> Callable[[], None]:
    """Lets the next session of the Worker begin at once and last until it is stopped; what is
    returned puts things back after it."""
    made = getattr(worker, "profiler", None)
    if made is None:  # made at the first start, from the configuration
        given = getattr(worker, "profiler_config", None)
        if given is None:
            return lambda: None
        changed = copy.copy(given)
        for name in BOUNDS if stacks else (*BOUNDS, "torch_profiler_with_stack"):
            if hasattr(changed, name):
                object.__setattr__(changed, name, type(getattr(changed, name))(0))
        worker.profiler_config = changed

        def forget() -> None:
            worker.profiler_config = given
            worker.profiler = None  # the next one is made anew, with its own name and bounds

        return forget
    profiler = getattr(made, "profiler", made)  # torch's, within vLLM's own or (before 0.12) alone
    before = [(made, name, getattr(made, name)) for name in _BOUNDS_MADE if hasattr(made, name)]
    for owner, name in () if stacks else _tracers(profiler):
        before.append((owner, name, getattr(owner, name)))
    for owner, name, value in before:
        setattr(owner, name, type(value)(0))

    def put_back() -> None:
        for owner, name, value in before:
            setattr(owner, name, value)

    return put_back


def _tracers(profiler: Any) -> list[tuple[Any, str]]:
    """What makes it trace Python: torch's by its own attribute; torch_npu's by those of its
    interface."""
    asked = [
        (profiler, "with_stack"),
        *((getattr(profiler, "prof_if", None), name) for name in ("with_stack", "with_modules")),
    ]
    return [(owner, name) for owner, name in asked if hasattr(owner, name)]


def _warms_up_here(worker: Any) -> bool:
    """On the CPU platform, and the size of the KV cache is given, so that memory in use says
    nothing about it."""
    device = getattr(getattr(worker, "device", None), "type", None)
    given = getattr(getattr(worker, "cache_config", None), "kv_cache_memory_bytes", None)
    return device == "cpu" and given is not None
