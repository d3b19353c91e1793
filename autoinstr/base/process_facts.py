"""Read what this process is: its host, its multiprocessing name, its rank, its loaded packages.

Nothing is imported here that the program has not imported itself."""

from __future__ import annotations

import os
import sys
from typing import Any, Callable

from autoinstr.base.system import calls, read_file

# Prefixes of the multiprocessing names of vLLM's processes (EngineCore_DP0, VllmWorker-0,
# ApiServer_0), with their roles.
_ROLE_PREFIXES = (
    ("EngineCore", "EngineCore"),
    ("VllmWorker", "Worker"),
    ("ApiServer", "APIServer"),
    ("APIServer", "APIServer"),
)

RAY_WORKER = "RayWorker"  # the role of a worker of Ray that is no actor

_START_FIELD = 19  # of /proc/PID/stat, behind the name of the program

# Environment variables of an NVTX tool: where NVTX finds its library, and two of Nsight Systems.
NVTX_TOOLS = ("NVTX_INJECTION64_PATH", "NSYS_PROFILING_SESSION_ID", "QUADD_INJECTION_PROXY")

_distribution_versions: dict[str, str | None] = {}


def describe_process() -> dict[str, Any]:
    """Return host, boot id, platform, identity, parent pid, roles, rank and world size.

    Also the process's multiprocessing name, and which restart of its workers torchrun made."""
    rank, world_size = get_rank()
    uname = calls.uname()
    module = sys.modules.get("multiprocessing.process")
    restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "")
    return {
        **({"process": str(module.current_process().name)} if module is not None else {}),
        **({"restart": int(restart)} if restart.isdecimal() else {}),
        "host": uname.nodename,
        "boot": _read_boot_id(),
        "platform": f"{uname.sysname} {uname.machine}",
        **identify_process(),
        "ppid": calls.getppid(),
        "roles": _get_roles(),
        "rank": rank,
        "world_size": world_size,
    }


def identify_process(pid: int | str = "self") -> dict[str, Any]:
    """Return `pid_namespace` and `started` of a process, by its number in this process's /proc.

    Both are missing if they cannot be read. With the pid in that namespace they identify a process
    for as long as the machine runs. `started` is in clock ticks since the start of the machine. An
    exec changes neither."""
    identity: dict[str, Any] = {}
    try:
        fields = read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        identity["started"] = int(fields[_START_FIELD])
        identity["pid_namespace"] = calls.readlink(f"/proc/{pid}/ns/pid")
    except (OSError, IndexError, ValueError):  # another system, or another user's process
        pass
    return identity


def _read_boot_id() -> str:
    """Return the id of this start of the kernel, or "" if the kernel has none.

    Processes with the same id share one clock."""
    try:
        return read_file("/proc/sys/kernel/random/boot_id").decode().strip()
    except OSError:
        return ""


def get_rank() -> tuple[int | None, int | None]:
    """Return rank and world size of torch.distributed, else those that torchrun exported.

    Both are None in a process without a rank."""
    distributed = sys.modules.get("torch.distributed")
    try:
        if distributed is not None and distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank(), distributed.get_world_size()
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    except (KeyError, ValueError, AttributeError):
        return None, None


def has_nvtx_tool() -> bool:
    """Return whether a tool that reads NVTX ranges has injected itself into this process."""
    return any(os.environ.get(name) for name in NVTX_TOOLS)


def get_loaded_version(package: str) -> str | None:
    """Return the version of a package that this process has loaded.

    It is the package's `__version__`. A package without one, such as vllm_ascend, has the version
    of its distribution. None if there is neither."""
    module = sys.modules.get(package)
    version = getattr(module, "__version__", None)
    # a program that has not loaded importlib.metadata has no package without a __version__
    metadata = sys.modules.get("importlib.metadata")
    if isinstance(version, str) or module is None or metadata is None:
        return version if isinstance(version, str) else None
    if package not in _distribution_versions:
        try:
            _distribution_versions[package] = metadata.version(package.replace("_", "-"))
        except Exception:  # a checkout that is not installed
            _distribution_versions[package] = None
    return _distribution_versions[package]


def _get_roles() -> list[str]:
    module = sys.modules.get("multiprocessing.process")
    name = str(module.current_process().name) if module is not None else "MainProcess"
    for prefix, role in _ROLE_PREFIXES:
        if name.startswith(prefix):
            return [role]
    if (
        name == "MainProcess"
        and "ray" in sys.modules
        and os.path.basename(sys.argv[0] if sys.argv else "") == "default_worker.py"
    ):
        return [get_actor_class() or RAY_WORKER]
    return [name]


def get_actor_class() -> str | None:
    """Return the name of the class of the Ray actor that this process is; None for no actor.

    Ray's C++ functions about actors abort a process that has none (measured with 2.60)."""
    worker = getattr(sys.modules.get("ray._private.worker"), "global_worker", None)
    actors = getattr(worker, "actors", None)
    if not isinstance(actors, dict):
        return None
    return next((type(actor).__name__ for actor in list(actors.values())), None)


def register_at_exit(function: Callable[[], object]) -> None:
    """Call the function when a multiprocessing child ends; in other processes do nothing.

    A multiprocessing child leaves by os._exit, before CPython 3.13 without atexit. Its finalizers
    are the only functions that run."""
    module = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if module is not None and util is not None and module.parent_process() is not None:
        util.Finalize(None, function, exitpriority=-100)
