"""Sees vLLM's profiler start and stop in the processes where torch's own classes do not show it:
EngineCore, API server, main process; and the profilers of a Worker that are not torch's (CUDA's,
Proton)."""

from __future__ import annotations

import functools
import inspect
import os
from typing import TYPE_CHECKING, Any, Protocol

from autoinstr.base.guard import contained
from autoinstr.instrument import importhook
from autoinstr.instrument.profilers.patched_names import BOUNDS, rows
from autoinstr.instrument.profilers.replace import replace
from autoinstr.instrument.profilers.vllm.running_flag import Flag, Follower

if TYPE_CHECKING:
    from collections.abc import Hashable
    from types import ModuleType

    from autoinstr.instrument.profilers.running import Profilers

_ENGINE = "engine"  # the key of an announced profile
_OLD_BOUNDS = ("VLLM_PROFILER_DELAY_ITERS", "VLLM_PROFILER_MAX_ITERS")  # vLLM 0.12


class Watched(Protocol):
    """The session, as far as it is needed here."""

    roles: list[str]
    profilers: Profilers

    def profiler_started(self, key: Hashable, python_tracer: bool = False) -> None:
        """See Session."""

    def profiler_stopped(self, key: Hashable) -> None:
        """See Session."""

    def follow_worker(self, running: bool | None) -> None:
        """See Session."""


class Observer:
    """Tells the session when an engine profiles."""

    def __init__(self, session: Watched, out: str, follows: bool) -> None:
        """follows: ranges are recorded while a profiler runs only, so the processes of an engine
        have to agree."""
        self._session = session
        self._follows = follows
        self._follower = Follower(out, session.follow_worker)
        if follows:
            session.profilers.told = Flag(out, lambda: "Worker" in session.roles).show

    def apply(self) -> None:
        """Register with the import hook."""
        makes = {
            "engine": self._engine,
            "frontend start": self._start,
            "frontend stop": self._stop,
            "worker start": self._worker_start,
            "worker stop": self._worker_stop,
            "cuda start": self._cuda_start,
            "cuda stop": self._cuda_stop,
        }
        for use, make in makes.items():
            for row in rows(use):
                importhook.register(row.module, functools.partial(_patch, row.qualname, make))

    # -- the engine --------------------------------------------------------------------------------

    def _engine(self, original: Any) -> Any:
        signature = inspect.signature(original)

        def profile(self_: Any, *args: Any, **kwargs: Any) -> Any:
            if not _argument(signature, self_, args, kwargs, "is_start", True):
                self._ended()
                return original(self_, *args, **kwargs)
            return start(self_, *args, **kwargs)

        start = self._start(original)
        return profile

    def _start(self, original: Any) -> Any:
        signature = inspect.signature(original)
        if inspect.iscoroutinefunction(original):

            async def start_async(self_: Any, *args: Any, **kwargs: Any) -> Any:
                follows = self._begins(self_, signature, args, kwargs)
                try:
                    result = await original(self_, *args, **kwargs)
                except Exception:
                    self._refused(follows)
                    raise
                except BaseException:  # cancelled: it may have taken effect
                    self._begun()
                    raise
                self._begun()
                return result

            return start_async

        def start(self_: Any, *args: Any, **kwargs: Any) -> Any:
            follows = self._begins(self_, signature, args, kwargs)
            try:
                result = original(self_, *args, **kwargs)
            except Exception:
                self._refused(follows)
                raise
            self._begun()
            return result

        return start

    def _stop(self, original: Any) -> Any:
        # Before the call: the Worker stops when it gets it, and writes its trace before it answers.
        if inspect.iscoroutinefunction(original):

            async def stop_async(*args: Any, **kwargs: Any) -> Any:
                self._ended()
                return await original(*args, **kwargs)

            return stop_async

        def stop(*args: Any, **kwargs: Any) -> Any:
            self._ended()
            return original(*args, **kwargs)

        return stop

    @contained("watching an engine's profiler")
    def _begins(self, engine: Any, signature: inspect.Signature, args: Any, kwargs: Any) -> bool:
        """Follow the Worker from before the start on, if it has to be; whether this was needed and
        is new."""
        if (
            not self._follows
            or self._is_worker()
            or not _has_bounds(engine, signature, args, kwargs)
        ):
            return False
        return self._follower.start()

    @contained("watching an engine's profiler")
    def _refused(self, follows: bool) -> None:
        if follows:
            self._follower.stop()
            self._session.follow_worker(None)

    @contained("watching an engine's profiler")
    def _begun(self) -> None:
        if not self._is_worker():
            self._session.profiler_started(_ENGINE)

    def _is_worker(self) -> bool:
        """The profiler of a Worker in this process is seen itself, exactly."""
        return "Worker" in self._session.roles

    @contained("watching an engine's profiler")
    def _ended(self) -> None:
        self._follower.stop()
        self._session.follow_worker(None)
        self._session.profiler_stopped(_ENGINE)

    # -- a Worker's profiler that is not torch's ---------------------------------------------------

    def _worker_start(self, original: Any) -> Any:
        def _call_start(self_: Any) -> Any:
            result = original(self_)
            if not hasattr(self_, "profiler") and getattr(
                self_, "_running", False
            ):  # torch's are seen themselves, to the step
                self._session.profiler_started(("worker", id(self_)))
            return result

        return _call_start

    def _worker_stop(self, original: Any) -> Any:
        def _call_stop(self_: Any) -> Any:
            self._session.profiler_stopped(("worker", id(self_)))
            return original(self_)

        return _call_stop

    def _cuda_start(self, original: Any) -> Any:
        def start() -> Any:
            result = original()
            self._session.profiler_started("cuda")
            return result

        return start

    def _cuda_stop(self, original: Any) -> Any:
        def stop() -> Any:
            self._session.profiler_stopped("cuda")
            return original()

        return stop


def _patch(qualname: str, make: Any, module: ModuleType) -> None:
    owner_name, _, name = qualname.rpartition(".")
    owner = getattr(module, owner_name, None) if owner_name else module
    if owner is not None:
        replace(owner, name, make)


def _argument(
    signature: inspect.Signature, instance: Any, args: Any, kwargs: Any, name: str, default: Any
) -> Any:
    try:
        return signature.bind(instance, *args, **kwargs).arguments.get(name, default)
    except TypeError:
        return default


def _has_bounds(engine: Any, signature: inspect.Signature, args: Any, kwargs: Any) -> bool:
    """The Worker's profiler may start later or stop earlier than it is told to."""
    config = getattr(engine, "vllm_config", None)
    parallel = getattr(config, "parallel_config", None)
    if (
        "ray" in str(getattr(parallel, "distributed_executor_backend", "")).lower()
        or getattr(parallel, "nnodes", 1) != 1
    ):
        return False  # Workers on other hosts: what they show is not seen here
    for name in BOUNDS:
        asked = _argument(signature, engine, args, kwargs, name, None)
        if (
            asked
            if asked is not None
            else getattr(getattr(config, "profiler_config", None), name, 0)
        ):
            return True
    return any(os.environ.get(name, "0") not in ("", "0") for name in _OLD_BOUNDS)
