"""vLLM's own profiler, ready without a flag at start-up: the configuration of the engine, the two
HTTP routes, the environment of older versions. What the program or its user has configured wins.
"""

from __future__ import annotations

import copy
import os
import sys
from typing import TYPE_CHECKING, Any

from autoinstr.base import log, run_directory
from autoinstr.base.guard import contained
from autoinstr.instrument import importhook
from autoinstr.instrument.profilers.patched_names import rows
from autoinstr.instrument.profilers.replace import replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

DIRECTORY = (
    "VLLM_TORCH_PROFILER_DIR"  # the guides' name for it; vLLM itself reads it before 0.16 only
)
# Where vLLM's Worker takes a torch profiler. On others its check of the configuration would end the
# engine.
_PLATFORMS = ("cpu", "cuda", "xpu", "npu")
_FIELDS = {"use_gzip": "torch_profiler_use_gzip"}  # of ours -> of vLLM's, where they differ
_SCHEDULE = {
    "wait": "wait_iterations",
    "warmup": "warmup_iterations",
    "active": "active_iterations",
}


class Enabler:
    """Makes start_profile and stop_profile work in every engine that is built in this process."""

    def __init__(self, out: str, parameters: Mapping[str, Mapping[str, Any]]) -> None:
        """out: the run directory. parameters: what parameters.read gives."""
        self._out = out
        self._fields = {
            _FIELDS.get(name, name): value for name, value in parameters.get("vllm", {}).items()
        }
        for name, value in parameters.get("torch", {}).get("schedule", {}).items():
            if name in _SCHEDULE:
                self._fields[_SCHEDULE[name]] = value

    def apply(self) -> None:
        """Register with the import hook."""
        for row in rows("config"):
            importhook.register(
                row.module,
                lambda module: replace(module.EngineArgs, "create_engine_config", self._config),
            )
        for row in rows("routes"):
            importhook.register(row.module, self._routes)
        for row in rows("environment"):
            importhook.register(row.module, self._environment)

    def _default(self) -> str:
        return os.path.join(os.environ.get("AUTOINSTR_OUT") or self._out, "profile")

    # -- vLLM 0.13 and later: a configuration object -----------------------------------------------

    def _config(self, original: Any) -> Any:
        def create_engine_config(*args: Any, **kwargs: Any) -> Any:
            config = original(*args, **kwargs)
            self._enable(config)
            return config

        return create_engine_config

    @contained("enabling vLLM's profiler")
    def _enable(self, config: Any) -> None:
        profiling: Any = getattr(config, "profiler_config", None)
        if not hasattr(
            profiling, "profiler"
        ):  # before 0.13, or something else that has no profiler
            return
        changes = dict(self._fields)
        if profiling.profiler is None:
            if not _possible():
                return
            changes.update(profiler="torch", torch_profiler_dir=self._directory())
        if changes:
            changed = copy.copy(profiling)  # it may be the user's own object
            for name, value in changes.items():
                if hasattr(changed, name):
                    object.__setattr__(changed, name, value)
                else:
                    log.once(
                        f"no {name}",
                        "warning",
                        "this vLLM has no such profiler setting",
                        setting=name,
                    )
            object.__setattr__(config, "profiler_config", changed)

    def _directory(self) -> str:
        """Read when the engine is built: the guides' scripts set the variable after importing
        vLLM."""
        given = os.environ.get(DIRECTORY)
        if given and given != self._default():
            return given if "://" in given else os.path.abspath(os.path.expanduser(given))
        run_directory.make(
            os.path.dirname(self._default())
        )  # private, before vLLM would make it with its parents
        return self._default()

    def _routes(self, module: ModuleType) -> None:
        @contained("adding the profiler's routes")
        def add(app: Any) -> None:
            profiling = getattr(app.state.args, "profiler_config", None)
            if (
                getattr(profiling, "profiler", None) is None and _possible()
            ):  # else the original has added them
                app.include_router(module.router)

        def make(original: Any) -> Any:
            def attach_router(app: Any) -> Any:
                result = original(app)
                add(app)
                return result

            return attach_router

        replace(module, "attach_router", make)

    # -- before: the environment, read while modules are imported ----------------------------------

    @contained("enabling vLLM's profiler")
    def _environment(self, module: ModuleType) -> None:
        """`module` is vllm.envs: the first of vLLM's that is imported."""
        if DIRECTORY not in module.environment_variables:
            return
        ours = self._default()
        has_config = os.path.isfile(
            os.path.join(os.path.dirname(str(module.__file__)), "config", "profiler.py")
        )
        if not has_config and not os.environ.get("VLLM_TORCH_CUDA_PROFILE"):
            os.environ.setdefault(DIRECTORY, ours)

        def make(original: Any) -> Any:
            def compile_factors() -> Any:
                factors = original()
                if os.environ.get(DIRECTORY) == ours and DIRECTORY in factors:
                    factors[DIRECTORY] = (
                        # as without us: the folder of a run must not make a compile cache of its
                        # own
                        None
                    )
                return factors

            return compile_factors

        replace(module, "compile_factors", make)


def _possible() -> bool:
    platform = getattr(sys.modules.get("vllm.platforms"), "current_platform", None)
    return getattr(platform, "device_type", None) in _PLATFORMS
