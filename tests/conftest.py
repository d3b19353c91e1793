"""Fixtures for all tests: no patch may stay, and real interpreters run with the gate on
PYTHONPATH."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

REPO = Path(__file__).resolve().parents[1]
GATE = REPO / "sitecustomize"

# No clock decides about a test: a busy machine may take any time for an example. The profile
# "quick" is for `make test-unit`; `make test` runs all examples.
UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("full", **UNTIMED)
settings.register_profile("quick", max_examples=10, **UNTIMED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "full"))


def _state() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    return {
        "sys.meta_path": list(sys.meta_path),
        "sys.modules['sitecustomize']": sys.modules.get("sitecustomize"),
        "torch.nn.Module.__call__": torch.nn.Module.__dict__.get("__call__")
        if hasattr(torch, "nn")
        else None,
    }


# File -> another one, whose engine or server it shares by a fixture of the whole session.
SHARES_WITH = {
    "tests/vllm/test_plugin.py": "tests/vllm/test_offline.py",
    "tests/vllm/test_reports.py": "tests/vllm/test_offline.py",
    "tests/vllm/test_server.py": "tests/vllm/test_load.py",
}
# The files that take more than a minute, longest first.
LONGEST = (
    "tests/vllm/test_compile.py",
    "tests/vllm/test_offline.py",
    "tests/npu/test_vllm_ascend_server.py",
    "tests/npu/test_vllm_ascend.py",
    "tests/integration/test_compile.py",
    "tests/integration/test_faults.py",
    "tests/integration/test_empty_run.py",
    "tests/vllm/test_profiler_server.py",
    "tests/vllm/test_profiler_capture.py",
    "tests/vllm/test_load.py",
    "tests/integration/test_tools_beside.py",
    "tests/integration/test_analyse.py",
    "tests/integration/test_modules_processes.py",
    "tests/integration/test_ray.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first, then the others of vLLM and of the simulated device.

    `-n` hands out files in this order, so the last ones are short and no worker waits long."""
    by_folder = {"vllm": 0, "npu": 1}

    def rank(item: pytest.Item) -> tuple[int, int]:
        file = _shared_with(item.nodeid.split("::")[0])
        if file in LONGEST:
            return (0, LONGEST.index(file))
        return (1, by_folder.get(item.path.parent.name, len(by_folder)))

    items.sort(key=rank)


HEAVY = {"torch", "transformers", "vllm"}  # to import the last takes ten seconds
HEAVY_AFTER_COLLECTION = pytest.StashKey[set[str]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    session.config.stash[HEAVY_AFTER_COLLECTION] = HEAVY & set(sys.modules)


def _shared_with(file: str) -> str:
    return SHARES_WITH.get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For `-n`: a file is run whole by one worker, and so are those that share an engine. (`--dist
    loadgroup` would be this, but xdist 3.8 writes the groups into an attribute that pytest 9.2 does
    not read.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return _shared_with(nodeid.split("::")[0])

    return ByFile(config, log)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell the reader of the results which of them come from a simulated device."""
    reports = [
        report
        for some in terminalreporter.stats.values()
        for report in some
        if getattr(report, "when", "") == "call"
    ]
    count = sum(report.nodeid.startswith("tests/npu/") for report in reports)
    if count:
        terminalreporter.write_line(
            f"simulated CANN: no Ascend device took part in {count} tests of tests/npu. Real:"
            " torch_npu, vllm-ascend and msprof-analyze; CANN, kernels, their times and HCCL are"
            " simulated (tests/npu/README.md says how far)."
        )


@pytest.fixture(autouse=True)
def nothing_stays_patched() -> Iterator[None]:
    """Fail a test that leaves a finder, a sitecustomize or a patched Module.__call__ behind."""
    before = _state()
    torch_was_there = hasattr(sys.modules.get("torch"), "nn")
    yield
    after = _state()
    if not torch_was_there and after["torch.nn.Module.__call__"] is not None:
        module = sys.modules["torch"].nn.Module
        before["torch.nn.Module.__call__"] = (
            module._wrapped_call_impl
        )  # what torch's own class body puts there
    ours = [
        finder
        for finder in after["sys.meta_path"]
        if type(finder).__module__.startswith("autoinstr")
    ]
    assert not ours or ours == [f for f in before["sys.meta_path"] if f in ours], (
        f"left on sys.meta_path: {ours}"
    )
    for name in ("sys.modules['sitecustomize']", "torch.nn.Module.__call__"):
        assert after[name] is before[name], (
            f"{name} stayed patched: {after[name]!r}, not {before[name]!r}"
        )


def clean_environment(**extra: str) -> dict[str, str]:
    """Return this process's environment without variables that turn autoinstr on or change where
    Python looks."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.lstrip("_").startswith(("AUTOINSTR", "PYTHON", "COVERAGE_", "PYTEST"))
    }
    environ.update(extra)
    return environ


def hears_ctrl_c() -> None:
    """Restore SIGINT, for `preexec_fn`. A program in a shell's background ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Python:
    """Run an interpreter in subprocesses. `run` returns what subprocess.run returns, as text."""

    def __init__(self, executable: str | os.PathLike[str], cwd: Path) -> None:
        self.executable = str(executable)
        self.cwd = cwd

    def run(
        self,
        *args: str | os.PathLike[str],
        path: tuple[str | os.PathLike[str], ...] = (GATE,),
        on: str | None = "1",
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 120,
        **more: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run the interpreter.

        `path` has the entries of PYTHONPATH and `on` the value of AUTOINSTR (None: not set); `env`
        has further variables."""
        environ = clean_environment(**(env or {}))
        if path:
            environ["PYTHONPATH"] = os.pathsep.join(map(str, path))
        if on is not None:
            environ["AUTOINSTR"] = on
        if "stdin" not in more and "input" not in more:
            more["stdin"] = subprocess.DEVNULL
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        return subprocess.run(
            [self.executable, *map(str, args)],
            env=environ,
            cwd=cwd or self.cwd,
            timeout=timeout,
            encoding="utf-8",
            errors="replace",
            **streams,
        )


@pytest.fixture
def python(tmp_path: Path) -> Python:
    """The interpreter that runs the tests, in an empty folder, with the gate on PYTHONPATH and
    AUTOINSTR=1 by default."""
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    return Python(sys.executable, cwd)


@pytest.fixture
def bare(tmp_path: Path) -> Python:
    """As `python`, but the interpreter beneath the virtual environment.

    It has no torch, and no autoinstr.pth that starts before the gate."""
    cwd = tmp_path / "cwd"
    cwd.mkdir(exist_ok=True)
    return Python(os.path.realpath(getattr(sys, "_base_executable", sys.executable)), cwd)


@pytest.fixture
def write_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Write modules into a folder on sys.path, and remove them and the hook afterwards."""
    folder = tmp_path / "modules"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))

    def write_files(**files: str) -> None:
        for name, source in files.items():
            path = folder.joinpath(*name.split("__")).with_suffix(
                ".py"
            )  # pkg__mod is pkg/mod.py, pkg__init is its __init__.py
            if path.stem == "init":
                path = path.with_name("__init__.py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        importlib.invalidate_caches()

    from autoinstr.instrument import importhook

    importhook.install()
    yield write_files
    importhook.uninstall()
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(
            str(folder)
        ) or name.startswith("hooked"):
            del sys.modules[name]
