"""Makes vLLM's own profiler ready without a flag at start-up.

It changes the configuration of the engine, adds the two HTTP routes, and sets the environment
variable of older versions. What the program or its user has configured wins.
"""

from __future__ import annotations

import copy
import os
import sys
from typing import TYPE_CHECKING, Any

from autoinstr.base import log, run_directory
from autoinstr.base.guard import contain_errors
from autoinstr.base.system import is_file, make_absolute
from autoinstr.instrument import importhook
from autoinstr.instrument.profilers.patched_names import select_rows
from autoinstr.instrument.profilers.replace import replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

# The variable that vLLM's profiling guides name. vLLM itself reads it only before 0.16.
DIRECTORY_VARIABLE = "VLLM_TORCH_PROFILER_DIR"
# Where vLLM's Worker takes a torch profiler. On others its check of the configuration would end the
# engine.
_PLATFORMS = ("cpu", "cuda", "xpu", "npu")
_FIELDS = {"use_gzip": "torch_profiler_use_gzip"}  # parameter -> vLLM's field, where they differ
_SCHEDULE_FIELDS = {
    "wait": "wait_iterations",
    "warmup": "warmup_iterations",
    "active": "active_iterations",
}


class Enabler:
    """Makes start_profile and stop_profile work in every engine that is built in this process."""

    def __init__(self, run_folder: str, parameters: Mapping[str, Mapping[str, Any]]) -> None:
        """`run_folder`: the run directory. `parameters`: the values of `read_parameters`."""
        self._run_folder = run_folder
        self._fields = {
            _FIELDS.get(name, name): value for name, value in parameters.get("vllm", {}).items()
        }
        for name, value in parameters.get("torch", {}).get("schedule", {}).items():
            if name in _SCHEDULE_FIELDS:
                self._fields[_SCHEDULE_FIELDS[name]] = value

    def apply(self) -> None:
        """Register with the import hook."""

        def patch_config(module: ModuleType) -> None:
            replace(module.EngineArgs, "create_engine_config", self._make_create_config)

        for row in select_rows("config"):
            importhook.register(row.module, patch_config)
        for row in select_rows("routes"):
            importhook.register(row.module, self._patch_routes)
        for row in select_rows("environment"):
            importhook.register(row.module, self._patch_environment)
        importhook.register("vllm.v1.worker.cpu_worker", self._spare_cpu_worker)

    def _get_default_folder(self) -> str:
        return os.path.join(os.environ.get("AUTOINSTR_OUT") or self._run_folder, "profile")

    # -- vLLM 0.13 and later: a configuration object -----------------------------------------------

    def _make_create_config(self, original: Any) -> Any:
        def create_engine_config(*args: Any, **kwargs: Any) -> Any:
            config = original(*args, **kwargs)
            self._enable(config)
            return config

        return create_engine_config

    @contain_errors("enabling vLLM's profiler")
    def _enable(self, config: Any) -> None:
        profiler_config: Any = getattr(config, "profiler_config", None)
        if not hasattr(profiler_config, "profiler"):  # before 0.13, or without a profiler
            return
        changes = dict(self._fields)
        if profiler_config.profiler is None:
            if not _is_platform_supported():
                return
            changes.update(profiler="torch", torch_profiler_dir=self._choose_folder())
        if changes:
            new_config = copy.copy(profiler_config)  # the original may be the user's own object
            for name, value in changes.items():
                if hasattr(new_config, name):
                    object.__setattr__(new_config, name, value)
                else:
                    log.write_once(
                        f"no {name}",
                        "warning",
                        "this vLLM has no such profiler setting",
                        setting=name,
                    )
            object.__setattr__(config, "profiler_config", new_config)

    def _choose_folder(self) -> str:
        """Return the folder for traces, when an engine is built.

        The scripts of the guides set the variable after they import vLLM.
        """
        default_folder = self._get_default_folder()
        folder = os.environ.get(DIRECTORY_VARIABLE)
        if folder and folder != default_folder:
            return folder if "://" in folder else make_absolute(folder)
        # Create the run directory as a private one, before vLLM creates it with its parents.
        run_directory.create(os.path.dirname(default_folder))
        return default_folder

    def _patch_routes(self, module: ModuleType) -> None:
        @contain_errors("adding the profiler's routes")
        def add_routes(app: Any) -> None:
            profiler_config = getattr(app.state.args, "profiler_config", None)
            # With a profiler in the configuration, vLLM has added the routes itself.
            if getattr(profiler_config, "profiler", None) is None and _is_platform_supported():
                app.include_router(module.router)

        def make(original: Any) -> Any:
            def attach_router(app: Any) -> Any:
                result = original(app)
                add_routes(app)
                return result

            return attach_router

        replace(module, "attach_router", make)

    # -- before: the environment, read while modules are imported ----------------------------------

    @contain_errors("enabling vLLM's profiler")
    def _patch_environment(self, module: ModuleType) -> None:
        """Set the variable. `module` is vllm.envs, the first module of vLLM that is imported."""
        if DIRECTORY_VARIABLE not in module.environment_variables:
            return
        default_folder = self._get_default_folder()
        has_config = is_file(
            os.path.join(os.path.dirname(str(module.__file__)), "config", "profiler.py")
        )
        if not has_config and not os.environ.get("VLLM_TORCH_CUDA_PROFILE"):
            os.environ.setdefault(DIRECTORY_VARIABLE, default_folder)

        def make(original: Any) -> Any:
            def compile_factors() -> Any:
                factors = original()
                is_default = os.environ.get(DIRECTORY_VARIABLE) == default_folder
                if is_default and DIRECTORY_VARIABLE in factors:
                    # As without the agent: the folder of a run must not change the compile cache.
                    factors[DIRECTORY_VARIABLE] = None
                return factors

            return compile_factors

        replace(module, "compile_factors", make)

    @contain_errors("leaving vLLM's profiler off")
    def _spare_cpu_worker(self, module: ModuleType) -> None:
        """Take the default back where the Worker could not run with a profiler.

        In vLLM 0.12, each step asks the profiler for an annotation that it has on GPUs alone. The
        Worker reads the variable when it is made. `module` is vllm.v1.worker.cpu_worker."""
        step = getattr(module.CPUWorker, "annotate_profile", None)
        code = getattr(step, "__code__", None)
        needs_annotations = "annotate_context_manager" in getattr(code, "co_names", ())
        is_default = os.environ.get(DIRECTORY_VARIABLE) == self._get_default_folder()
        if needs_annotations and is_default and not hasattr(module, "TorchProfilerWrapper"):
            del os.environ[DIRECTORY_VARIABLE]


def _is_platform_supported() -> bool:
    platform = getattr(sys.modules.get("vllm.platforms"), "current_platform", None)
    return getattr(platform, "device_type", None) in _PLATFORMS
