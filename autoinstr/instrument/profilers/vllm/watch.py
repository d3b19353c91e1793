"""Watches vLLM's profiler in the processes where torch's own classes do not show it.

These are the EngineCore, the API server and the main process. In a Worker, it watches the profilers
that are not torch's (CUDA's, Proton).
"""

from __future__ import annotations

import functools
import inspect
import os
from typing import TYPE_CHECKING, Any, Callable

from autoinstr.base.guard import contain_errors
from autoinstr.base.slow_notice import SlowNotice
from autoinstr.emitters import profiler_kinds
from autoinstr.instrument import importhook
from autoinstr.instrument.profilers.key import ProfilerKey
from autoinstr.instrument.profilers.patched_names import BOUNDS, select_rows
from autoinstr.instrument.profilers.replace import replace
from autoinstr.instrument.profilers.vllm.running_flag import FlagFollower

if TYPE_CHECKING:
    from types import ModuleType

    from autoinstr.instrument.profilers.watcher import ProfilerWatcher

_ENGINE = ProfilerKey(profiler_kinds.ENGINE)
_CUDA = ProfilerKey(profiler_kinds.CUDA)
_OLD_BOUNDS = ("VLLM_PROFILER_DELAY_ITERS", "VLLM_PROFILER_MAX_ITERS")  # vLLM 0.12


class EngineObserver:
    """Reports the profilers of an engine to the watcher."""

    def __init__(
        self,
        watcher: ProfilerWatcher,
        is_worker: Callable[[], bool],
        run_folder: str,
        follows_worker: bool,
    ) -> None:
        """`is_worker` returns True if this process has the role Worker.

        `follows_worker`: ranges are recorded only while a profiler runs. So the processes of an
        engine have to agree on when that is, through a file in the run directory.
        """
        self._watcher = watcher
        self._is_worker = is_worker
        self._follows_worker = follows_worker
        self._follower = FlagFollower(run_folder, watcher.follow_worker)

    def apply(self) -> None:
        """Register with the import hook."""
        makers = {
            "engine": self._make_profile,
            "frontend start": self._make_start,
            "frontend stop": self._make_stop,
            "worker start": self._make_worker_start,
            "worker stop": self._make_worker_stop,
            "cuda start": self._make_cuda_start,
            "cuda stop": self._make_cuda_stop,
        }
        for use, make in makers.items():
            for row in select_rows(use):
                importhook.register(row.module, functools.partial(_patch, row.qualname, make))

    # -- the engine --------------------------------------------------------------------------------

    def _make_profile(self, original: Any) -> Any:
        signature = inspect.signature(original)

        def profile(self_: Any, *args: Any, **kwargs: Any) -> Any:
            if not _read_argument(signature, self_, args, kwargs, "is_start", True):
                self._report_stopped()
                return original(self_, *args, **kwargs)
            return start(self_, *args, **kwargs)

        start = self._make_start(original)
        return profile

    def _make_start(self, original: Any) -> Any:
        signature = inspect.signature(original)
        if inspect.iscoroutinefunction(original):

            async def start_async(self_: Any, *args: Any, **kwargs: Any) -> Any:
                is_following = self._prepare_start(self_, signature, args, kwargs)
                try:
                    result = await original(self_, *args, **kwargs)
                except Exception:
                    self._report_start_failed(is_following)
                    raise
                except BaseException:  # cancelled: the start may have taken effect
                    self._report_started()
                    raise
                self._report_started()
                return result

            return start_async

        def start(self_: Any, *args: Any, **kwargs: Any) -> Any:
            is_following = self._prepare_start(self_, signature, args, kwargs)
            try:
                result = original(self_, *args, **kwargs)
            except Exception:
                self._report_start_failed(is_following)
                raise
            self._report_started()
            return result

        return start

    def _make_stop(self, original: Any) -> Any:
        # The stop is reported before the call. The Worker stops when it gets the call, and writes
        # its trace before it answers.
        if inspect.iscoroutinefunction(original):

            async def stop_async(*args: Any, **kwargs: Any) -> Any:
                self._report_stopped()
                with _make_slow_notice():
                    return await original(*args, **kwargs)

            return stop_async

        def stop(*args: Any, **kwargs: Any) -> Any:
            self._report_stopped()
            with _make_slow_notice():
                return original(*args, **kwargs)

        return stop

    @contain_errors("watching an engine's profiler")
    def _prepare_start(
        self, engine: Any, signature: inspect.Signature, args: Any, kwargs: Any
    ) -> bool:
        """Follow the Worker from before the start, if its profiler has bounds.

        Return True if this process did not follow it before.
        """
        if (
            not self._follows_worker
            or self._is_worker()
            or not _has_bounds(engine, signature, args, kwargs)
        ):
            return False
        return self._follower.start()

    @contain_errors("watching an engine's profiler")
    def _report_start_failed(self, is_following: bool) -> None:
        if is_following:
            self._follower.stop()
            self._watcher.follow_worker(None)

    @contain_errors("watching an engine's profiler")
    def _report_started(self) -> None:
        if not self._is_worker():  # a Worker's own profiler is watched exactly
            self._watcher.report_started(_ENGINE)

    @contain_errors("watching an engine's profiler")
    def _report_stopped(self) -> None:
        self._follower.stop()
        self._watcher.follow_worker(None)
        self._watcher.report_stopped(_ENGINE)

    # -- a Worker's profiler that is not torch's ---------------------------------------------------

    def _make_worker_start(self, original: Any) -> Any:
        def _call_start(self_: Any) -> Any:
            result = original(self_)
            # One with the attribute `profiler` is torch's, whose class is watched itself.
            if not hasattr(self_, "profiler") and getattr(self_, "_running", False):
                self._watcher.report_started(_make_worker_key(self_))
            return result

        return _call_start

    def _make_worker_stop(self, original: Any) -> Any:
        def _call_stop(self_: Any) -> Any:
            self._watcher.report_stopped(_make_worker_key(self_))
            return original(self_)

        return _call_stop

    def _make_cuda_start(self, original: Any) -> Any:
        def start() -> Any:
            result = original()
            self._watcher.report_started(_CUDA)
            return result

        return start

    def _make_cuda_stop(self, original: Any) -> Any:
        def stop() -> Any:
            self._watcher.report_stopped(_CUDA)
            return original()

        return stop


def _make_slow_notice() -> SlowNotice:
    return SlowNotice(
        "vLLM waits for its Workers, which write their profiles: with stacks this takes minutes",
        faster="AUTOINSTR_PROFILER=with_stack=false",
    )


def _make_worker_key(profiler: Any) -> ProfilerKey:
    return ProfilerKey(profiler_kinds.VLLM_WORKER, id(profiler))


def _patch(qualname: str, make: Any, module: ModuleType) -> None:
    owner_name, _, name = qualname.rpartition(".")
    owner = getattr(module, owner_name, None) if owner_name else module
    if owner is not None:
        replace(owner, name, make)


def _read_argument(
    signature: inspect.Signature, instance: Any, args: Any, kwargs: Any, name: str, default: Any
) -> Any:
    try:
        return signature.bind(instance, *args, **kwargs).arguments.get(name, default)
    except TypeError:
        return default


def _has_bounds(engine: Any, signature: inspect.Signature, args: Any, kwargs: Any) -> bool:
    """Return True if the Worker's profiler may start later or stop earlier than it is asked to."""
    config = getattr(engine, "vllm_config", None)
    parallel = getattr(config, "parallel_config", None)
    executor = str(getattr(parallel, "distributed_executor_backend", "")).lower()
    if "ray" in executor or getattr(parallel, "nnodes", 1) != 1:
        return False  # the file of a Worker on another host cannot be seen here
    for name in BOUNDS:
        bound = _read_argument(signature, engine, args, kwargs, name, None)
        if bound is None:
            bound = getattr(getattr(config, "profiler_config", None), name, 0)
        if bound:
            return True
    return any(os.environ.get(name, "0") not in ("", "0") for name in _OLD_BOUNDS)
