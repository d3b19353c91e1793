"""What this process is: its host, its name among multiprocessing's, its rank. Nothing is imported
that the program has not imported itself.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Callable

# multiprocessing's names of vLLM's processes, as its executors give them (EngineCore_DP0,
# VllmWorker-0, ApiServer_0)
_NAMED = (
    ("EngineCore", "EngineCore"),
    ("VllmWorker", "Worker"),
    ("ApiServer", "APIServer"),
    ("APIServer", "APIServer"),
)


def describe() -> dict[str, Any]:
    """Host, parent, working directory, roles, rank and world size."""
    number, size = rank()
    uname = os.uname()
    return {
        "host": uname.nodename,
        "boot": _boot_id(),
        "platform": f"{uname.sysname} {uname.machine}",
        "ppid": os.getppid(),
        "roles": _roles(),
        "rank": number,
        "world_size": size,
    }


def _boot_id() -> str:
    """Which start of the kernel this is: processes that agree on it share one clock. "" where the
    kernel does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def rank() -> tuple[int | None, int | None]:
    """Rank and world size: torch.distributed's where it is initialised, else what torchrun put into
    the environment."""
    distributed = sys.modules.get("torch.distributed")
    try:
        if distributed is not None and distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank(), distributed.get_world_size()
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    except (KeyError, ValueError, AttributeError):
        return None, None


# Where NVTX finds a tool (the first), and what Nsight Systems sets beside it.
NVTX_TOOLS = ("NVTX_INJECTION64_PATH", "NSYS_PROFILING_SESSION_ID", "QUADD_INJECTION_PROXY")


def nvtx_injected() -> bool:
    """A tool that reads NVTX has put itself into this process."""
    return any(os.environ.get(name) for name in NVTX_TOOLS)


_of_distributions: dict[str, str | None] = {}


def version_of(package: str) -> str | None:
    """The version of a package that this process has loaded: its own word, or that of its
    distribution where it says nothing, as vllm_ascend; None where neither says."""
    module = sys.modules.get(package)
    said = getattr(module, "__version__", None)
    metadata = sys.modules.get(
        "importlib.metadata"
    )  # a program that has not loaded it has no such package
    if isinstance(said, str) or module is None or metadata is None:
        return said if isinstance(said, str) else None
    if package not in _of_distributions:
        try:
            _of_distributions[package] = metadata.version(package.replace("_", "-"))
        except Exception:  # a checkout that is not installed
            _of_distributions[package] = None
    return _of_distributions[package]


def _roles() -> list[str]:
    module = sys.modules.get("multiprocessing.process")
    name = str(module.current_process().name) if module is not None else "MainProcess"
    for prefix, role in _NAMED:
        if name.startswith(prefix):
            return [role]
    if (
        name == "MainProcess"
        and "ray" in sys.modules
        and os.path.basename(sys.argv[0] if sys.argv else "") == "default_worker.py"
    ):
        return ["RayWorker"]
    return [name]


def at_exit(function: Callable[[], object]) -> None:
    """A multiprocessing child leaves by os._exit (before CPython 3.13 without atexit): what must
    run at its end is told to multiprocessing."""
    module = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if module is not None and util is not None and module.parent_process() is not None:
        util.Finalize(None, function, exitpriority=-100)
