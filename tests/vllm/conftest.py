"""One start of vLLM serves many tests: each fixture here is a run, made once."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import REPO, clean_environment
from tests.vllm.engines import LIMIT_S, Offline, Place, make_once, run_offline
from tests.vllm.served import Served, serve

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before `-m "not long"` is applied
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    missing = importlib.util.find_spec("vllm") is None
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.vllm)
            # The first test that uses a fixture pays for all of its engines.
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(3 * LIMIT_S))
            if "exchanged" in item.fixturenames and item.callspec.params["mode"] == "default":
                item.add_marker(
                    pytest.mark.long
                )  # two engines more, and the other mode has all of it
            if missing:
                item.add_marker(pytest.mark.skip(reason="vllm is not installed"))


class Pair(NamedTuple):
    """The same script, without the agent and with it."""

    native: Offline
    agent: Offline


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that prepare.py makes."""

    def prepare(folder: Path) -> None:
        environ = clean_environment(
            PYTHONPATH=str(REPO),
            HF_HUB_OFFLINE="1",
            OMP_NUM_THREADS="1",
            VLLM_CACHE_ROOT=str(folder / "cache"),
            VLLM_NO_USAGE_STATS="1",
            VLLM_PLUGINS="none",
        )
        made = subprocess.run(
            [sys.executable, str(HERE / "prepare.py"), str(folder)],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            env=environ,
        )
        assert made.returncode == 0, made.stderr

    folder = make_once(tmp_path_factory, "prepared", prepare)
    Place.model_infos = folder / "cache" / "modelinfos"
    return folder


@pytest.fixture(scope="session")
def model(prepared: Path) -> Path:
    """A tiny random Qwen2 of four layers."""
    return prepared / "model"


@pytest.fixture(scope="session")
def two_layers(prepared: Path) -> Path:
    """One of two layers, which takes half the time to compile."""
    return prepared / "two_layers"


@pytest.fixture(scope="session")
def eager(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The unedited script, not compiled; with the agent, its forward functions are counted."""
    base = tmp_path_factory.mktemp("eager")
    places = [
        Place(base / "native", agent=False, forked=True),
        Place(base / "agent", agent=True, plugins=["count"]),
    ]
    return Pair(*run_offline(model, places, "--eager"))


@pytest.fixture(scope="session", params=["default", "piecewise"])
def mode(request: pytest.FixtureRequest) -> str:
    """default: what the CPU platform makes of compilation, DYNAMO_TRACE_ONCE. piecewise:
    VLLM_COMPILE, as on accelerators."""
    return request.param


@pytest.fixture(scope="session")
def compiled(mode: str, two_layers: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The unedited script, compiled, each with an empty cache of its own.

    Both have their children by the same method: the key of vLLM's cache differs between methods."""
    base = tmp_path_factory.mktemp(mode)
    places = [
        Place(base / name, agent=name == "agent", plugins=[mode], forked=mode == "piecewise")
        for name in ("native", "agent")
    ]
    return Pair(*run_offline(two_layers, places))


@pytest.fixture(scope="session")
def exchanged(
    compiled: Pair, mode: str, two_layers: Path, tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    """Again, each with the cache that the other has made."""
    base = tmp_path_factory.mktemp(f"exchanged-{mode}")
    caches = {"native": compiled.agent.place.cache, "agent": compiled.native.place.cache}
    places = [
        Place(
            base / name,
            agent=name == "agent",
            plugins=[mode],
            cache=cache,
            forked=mode == "piecewise",
        )
        for name, cache in caches.items()
    ]
    return Pair(*run_offline(two_layers, places))


@pytest.fixture(scope="session")
def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A server under the agent, its forward functions counted."""
    flags = ["--profiler", "with_stack=false"]
    folder = tmp_path_factory.mktemp("server") / "agent"
    return serve(model, Place(folder, agent=True, plugins=["count"], flags=flags))
