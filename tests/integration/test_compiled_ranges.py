"""Ranges inside compiled code with real torch: what is recorded, and what must not change."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from autoinstr.analysis.stats import collect_stats
from autoinstr.instrument.compiled import known_texts
from autoinstr.recording.run import open_run
from autoinstr.report.data.row_entries import build_row_entries
from tests.conftest import REPO, Python

PROGRAM = REPO / "tests" / "programs" / "compiled_parts.py"
pytestmark = [
    pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs g++"),
    pytest.mark.timeout(900),  # the first test of a fixture pays for its compilations
]

EAGER = {
    "": "Net", "layers.0": "Layer", "layers.0.norm": "LayerNorm", "layers.0.up": "Linear",
    "layers.0.act": "GELU", "layers.0.down": "Linear", "layers.1": "Layer",
    "layers.1.norm": "LayerNorm", "layers.1.up": "Linear", "layers.1.act": "GELU",
    "layers.1.down": "Linear", "check": "Checked", "head": "Linear",
}  # fmt: skip


class Ran(NamedTuple):
    """What one run said, and the caches that it left."""

    said: dict[str, Any]
    cache: Path
    out: Path


def execute(
    folder: Path,
    name: str,
    cache: Path | None,
    *arguments: str,
    side: str = "side",
    log: str = "",
    **options: str,
) -> Ran:
    """Run the program with a cache that always has one path: inductor writes it into its files.

    `log` is what autoinstr says; `options` are variables of the environment."""
    place = folder / "inductor"
    if cache is not None:
        shutil.copytree(cache, place)
    out = folder / f"{name}.run"
    environ = {
        "TORCHINDUCTOR_CACHE_DIR": str(place),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "XDG_CACHE_HOME": str(folder / side),
        "PYTHONHASHSEED": "0",
        **options,
        **({"AUTOINSTR_OUT": str(out)} if name != "native" else {}),
    }
    python = Python(sys.executable, folder)
    done = python.run(
        PROGRAM, *arguments, on="1" if name != "native" else None, env=environ, timeout=900
    )
    assert done.returncode == 0, done.stderr[-4000:]
    lines = [line for line in done.stderr.splitlines() if "autoinstr" in line]
    assert len(lines) == bool(log) and all(log in line for line in lines), done.stderr
    kept = folder / f"{name}.cache"
    place.rename(kept)
    return Ran(json.loads(done.stdout.splitlines()[-1]), kept, out)


def seed_kernels(cache: Path, target: Path) -> Path:
    """Copy the compiled C++ kernels, which are named by their text, to save their compilation."""
    for path in cache.rglob("*"):
        if path.is_file() and (
            path.suffix in (".so", ".gch", ".h", ".cpp", ".o") or "precompiled" in str(path)
        ):
            copy = target / path.relative_to(cache)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
    return target


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return execute(tmp_path_factory.mktemp("compiled"), "native", None)


@pytest.fixture(scope="module")
def agent(native: Ran) -> Ran:
    folder = native.cache.parent
    return execute(folder, "agent", seed_kernels(native.cache, folder / "seed"), "switched")


@pytest.fixture(scope="module")
def warm(native: Ran, agent: Ran) -> Ran:
    """With the agent, on the cache of the run without it."""
    return execute(native.cache.parent, "warm", native.cache)


def read_rows(out: Path, process: int = 0) -> list[dict[str, Any]]:
    recording = open_run(str(out)).recordings[process]
    rows = list(build_row_entries(0, recording, collect_stats(recording)))
    assert not recording.problems
    return rows


def list_files(cache: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(cache)): path.read_bytes()
        for path in cache.rglob("*")
        if path.suffix in (".py", ".cpp", ".h") and path.is_file()
    }


def list_keys(cache: Path) -> set[str]:
    """What names an entry of the caches: fxgraph/xx/KEY and aotautograd/KEY."""
    return {
        str(path.parent.relative_to(cache))
        for top in ("fxgraph", "aotautograd")
        for path in (cache / top).rglob("*")
        if path.is_file()
    }


def test_the_installed_torch_is_known() -> None:
    assert known_texts.find_unknown() == ""


def test_numbers_graphs_tracebacks_and_exports_are_the_same(native: Ran, agent: Ran) -> None:
    assert native.said["inference"]["value"][3][0] == "the operator failed"
    assert native.said["inference"]["value"][3][1], "no line of the generated code was seen"
    for part, facts in native.said.items():
        assert agent.said[part] == facts, part
    assert native.said["inference"]["graphs"] == 1


def test_caches_and_generated_files_are_the_same(native: Ran, agent: Ran) -> None:
    assert len(list_keys(native.cache)) >= 3
    assert list_keys(agent.cache) == list_keys(native.cache)
    assert list_files(agent.cache) == list_files(native.cache)


def test_every_module_has_a_range_or_a_shared_kernel(agent: Ran) -> None:
    rows = [row for row in read_rows(agent.out) if row["domain"] == "Module" and row["root"] != ""]
    first = next(row["root"] for row in rows)
    net = {row["path"]: row for row in rows if row["root"] == first}
    assert {path: row["class"] for path, row in net.items()} == EAGER  # all but the Identity
    for path, row in net.items():
        assert sum(row["basis"].values()) == row["calls"]
        # Three calls, and one that failed after the layers. None while the ranges were off.
        expected = 3 if path == "head" else 4
        assert row["calls"] == expected or (not row["calls"] and row["shared_kernels"]), path
    assert net["layers.1.up"]["basis"] == {"compiled": 4}
    assert net[""]["basis"] == {"eager": 4}


def test_a_forked_child_has_ranges_of_its_own(agent: Ran) -> None:
    child = {row["path"]: row for row in read_rows(agent.out, 1) if row["domain"] == "Module"}
    assert set(child) == set(EAGER)
    assert child["head"]["basis"] == child["layers.0.up"]["basis"] == {"compiled": 3}


def test_layers_that_share_code_have_their_own_names(agent: Ran) -> None:
    """Each layer is compiled on its own. Both run the same functions, forward and backward."""
    rows = read_rows(agent.out)
    second = [row["root"] for row in rows if row["root"].startswith("Net#")][-1]
    roots = sorted({row["root"] for row in rows if row["root"].startswith("Net#")})
    assert len(roots) >= 4, (roots, second)
    regional = [row for row in rows if row["root"] == roots[1]]
    for domain in ("Module", "Module:backward"):
        calls = {
            row["path"]: row["calls"]
            for row in regional
            if row["domain"] == domain and row["path"].endswith(".down")
        }
        assert calls == {"layers.0.down": 3, "layers.1.down": 3}, domain


def test_graphs_that_run_as_python_have_ranges(agent: Ran) -> None:
    rows = read_rows(agent.out)
    roots = sorted({row["root"] for row in rows if row["root"].startswith("Net#")})
    for root in roots[2:4]:  # of the backends eager and aot_eager
        paths = {row["path"] for row in rows if row["root"] == root and row["calls"]}
        assert paths >= {"layers.0.up", "layers.1.act", "check", "head"}, root
    assert not [row for row in rows if row["class"] == "GraphModule"]


def test_a_cache_made_without_the_agent_gives_the_same_ranges(warm: Ran, agent: Ran) -> None:
    """The side files know the code. Everything is found in the cache, which stays as it is."""
    assert warm.said["inference"]["fx"][1] == 0
    assert warm.said["inference"]["value"] == agent.said["inference"]["value"]
    shown = [
        {
            (row["domain"], row["path"], row["message"])
            for row in read_rows(ran.out)
            if row["root"] == "Net#1" or ":shared" in row["domain"]
        }
        for ran in (warm, agent)
    ]
    assert shown[0] == shown[1]


@pytest.mark.long  # three programs more
def test_without_side_files_comments_say_what_they_can(native: Ran, agent: Ran) -> None:
    """Matrix products have the names of their nodes. What has none is counted, and `again` compiles
    it anew, without the cache."""
    line = "comes from a cache that was made without autoinstr"
    blind = execute(native.cache.parent, "blind", native.cache, side="empty", log=line)
    assert blind.said["inference"]["value"] == native.said["inference"]["value"]
    (recording,) = open_run(str(blind.out)).recordings
    counts = recording.header["compiled"]
    assert counts["recovered"] and counts["unknown"] and counts["unknown_kernels"], counts
    shown, expected = (
        {row["path"] for row in read_rows(ran.out) if row["root"] == "Net#1" and row["calls"]}
        for ran in (blind, agent)
    )
    assert expected >= shown >= {"layers.0.up", "layers.1.down", "check", "head"}
    again = execute(
        native.cache.parent, "again", native.cache, side="empty", AUTOINSTR_COMPILED="again"
    )
    assert again.said["inference"]["value"] == native.said["inference"]["value"]
    assert again.said["inference"]["fx"] == [0, 0]  # neither found nor stored
    assert list_keys(again.cache) == list_keys(native.cache)
    paths = {row["path"] for row in read_rows(again.out) if row["root"] == "Net#1"}
    assert paths == set(EAGER)
    crosswise = execute(native.cache.parent, "native", agent.cache)
    assert crosswise.said["inference"]["fx"][1] == 0
    assert crosswise.said["inference"]["value"] == native.said["inference"]["value"]


MODES = REPO / "tests" / "programs" / "compiled_modes.py"


@pytest.mark.long  # two programs with eight compilations each
def test_other_modes_of_inductor_are_the_same(tmp_path: Path) -> None:
    """Conditions, shared subgraphs, freezing, partitions, C++ wrappers and AOTInductor."""
    said = {}
    for name in ("native", "agent"):
        place = tmp_path / "inductor"
        environ = {
            "TORCHINDUCTOR_CACHE_DIR": str(place),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
            "XDG_CACHE_HOME": str(tmp_path / "side"),
            **({"AUTOINSTR_OUT": str(tmp_path / "run")} if name == "agent" else {}),
        }
        python = Python(sys.executable, tmp_path)
        on = "1" if name == "agent" else None
        done = python.run(MODES, str(tmp_path), on=on, env=environ, timeout=1200)
        assert done.returncode == 0, done.stderr[-4000:]
        assert "autoinstr" not in done.stderr, done.stderr
        said[name] = json.loads(done.stdout.splitlines()[-1]), list_files(place), list_keys(place)
        place.rename(tmp_path / f"{name}.cache")
    assert said["agent"][0] == said["native"][0]
    assert said["native"][0]["cond"]["graphs"] == said["native"][0]["freezing"]["graphs"] == 1
    assert set(said["agent"][1]) == set(said["native"][1])
    assert said["agent"][2] == said["native"][2]
    shown = {row["path"] for row in read_rows(tmp_path / "run") if row["basis"].get("compiled")}
    assert {"up", "down"} <= shown
