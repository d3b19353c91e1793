"""Stands in for releases of vLLM that are not installed: `python older_vllm.py FOLDER [no
workers]`, with torch's real profiler.

The parts that profiler control touches are written as these releases have them (0.11: a bare torch
profiler in the Worker; 0.12 to 0.16: vLLM's own around one, both made with the Worker; 0.17 and
later: made at the first start). Prints what happened, as JSON."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import ClassVar

import torch

with contextlib.suppress(
    ImportError
):  # torch 2.13 imports it within the first trace, and writes broken traces of imports that it sees
    import torch.profiler._cupti_monitor

FOLDER = sys.argv[1]
SHAPES = ("bare", "eager", "lazy")

ENVS = """
import os
environment_variables = {
    "VLLM_TORCH_PROFILER_DIR": lambda: os.getenv("VLLM_TORCH_PROFILER_DIR"),
    "OTHER": lambda: "1",
}
def compile_factors():
    return {name: read() for name, read in environment_variables.items()}
"""

WORKER = """
import torch
class ProfilerConfig:
    profiler = "torch"
    delay_iterations = 2
    max_iterations = 0
    torch_profiler_with_stack = True

def torch_profiler(folder, name, with_stack=True):
    return torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], with_stack=with_stack,
        on_trace_ready=torch.profiler.tensorboard_trace_handler(folder, worker_name=name))

class WorkerProfiler:
    def __init__(self, folder, config, name):
        self._delay_iters, self._max_iters = config.delay_iterations, config.max_iterations
        self._active = self._running = False
        self._count = 0
        self.profiler = torch_profiler(folder, name, config.torch_profiler_with_stack)
    def start(self):
        if self._active:
            return
        self._active = True
        if self._delay_iters == 0:
            self._call_start()
    def _call_start(self):
        self.profiler.start()
        self._running = True
    def step(self):
        self._count += self._active
        if self._active and not self._running and self._count == self._delay_iters:
            self._call_start()
    def stop(self):
        if not self._active:
            return
        self._active, self._count = False, 0
        if self._running:
            self.profiler.stop()
        self._running = False

class Base:
    def __init__(self, folder):
        self.folder = folder
        self.net = torch.nn.Linear(2, 2)
        self.profiler_config = ProfilerConfig()
        self.profiler = None
    def run(self, name):
        if isinstance(self.profiler, WorkerProfiler):
            self.profiler.step()
        with torch.profiler.record_function(name):
            self.net(torch.ones(1, 2))
    def compile_or_warm_up_model(self):
        self.run("captured")
        return 42

class Bare(Base):  # 0.9.2 to 0.11.0
    def __init__(self, folder):
        super().__init__(folder)
        del self.profiler_config
        self.profiler = torch_profiler(folder, "rank0")
    def profile(self, is_start: bool = True):
        (self.profiler.start if is_start else self.profiler.stop)()

class Eager(Base):  # 0.12 to 0.16
    def __init__(self, folder):
        super().__init__(folder)
        self.profiler = WorkerProfiler(folder, self.profiler_config, "rank0")
    def profile(self, is_start: bool = True):
        (self.profiler.start if is_start else self.profiler.stop)()

class Lazy(Base):  # 0.17 and later
    def profile(self, is_start: bool = True, profile_prefix=None):
        if not is_start:
            return self.profiler.stop()
        if self.profiler is None:
            name = f"{profile_prefix}_rank0" if profile_prefix else "rank0"
            self.profiler = WorkerProfiler(self.folder, self.profiler_config, name)
        self.profiler.start()

class WorkerWrapperBase:
    def init_worker(self, all_kwargs):
        (arguments,) = all_kwargs
        worker_class = {"bare": Bare, "eager": Eager, "lazy": Lazy}[arguments["shape"]]
        self.worker = worker_class(arguments["folder"])
"""


class Sources(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports the modules above under vLLM's names."""

    modules: ClassVar = {
        "vllm": "",
        "vllm.envs": ENVS,
        "vllm.worker": "",
        "vllm.worker.worker_base": WORKER,
    }

    def find_spec(self, name, path=None, target=None):
        if name not in self.modules:
            return None
        origin = os.path.join(FOLDER, *name.split("."), "__init__.py")
        return importlib.util.spec_from_file_location(
            name, origin, loader=self, submodule_search_locations=[]
        )

    def get_source(self, name):
        return self.modules[name]

    def is_package(self, name):
        return True

    def get_filename(self, name):
        return os.path.join(FOLDER, *name.split("."), "__init__.py")


def traces(folder: Path) -> list[list[str]]:
    """The names of our own marks in each trace, oldest first."""
    files = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    found = []
    for file in files:
        events = json.loads(file.read_text())["traceEvents"]
        marks = [
            event["name"]
            for event in events
            if event.get("cat") == "user_annotation" and not event["name"].startswith("Profiler")
        ]
        found.append([file.name.split(".")[0], *marks])
    return found


def live(shape: str) -> dict:
    """One Worker, from its making on."""
    from vllm.worker.worker_base import WorkerWrapperBase

    folder = Path(FOLDER, shape)
    folder.mkdir()
    wrapper = WorkerWrapperBase()
    wrapper.init_worker([{"shape": shape, "folder": str(folder)}])
    worker = wrapper.worker
    returned = worker.compile_or_warm_up_model()
    for session in range(2):
        worker.run("between")
        worker.profile(True)
        for step in range(3):
            worker.run(f"session {session} step {step}")
        worker.profile(False)
    return {"returned": returned, "traces": traces(folder)}


def main() -> None:
    # Before a vLLM that is installed, behind whatever watches imports.
    sys.meta_path.insert(sys.meta_path.index(importlib.machinery.BuiltinImporter), Sources())
    import vllm.envs

    told = {
        "environment": os.environ.get("VLLM_TORCH_PROFILER_DIR"),
        "factors": vllm.envs.compile_factors(),
    }
    print(json.dumps({**told, **{shape: live(shape) for shape in SHAPES if len(sys.argv) == 2}}))


torch.set_num_threads(1)
main()
