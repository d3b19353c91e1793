"""Test torch.compile around whole training steps, collectives and DDP: graphs, frames, breaks and
results are the same with the agent as without."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Python
from tests.programs import PROGRAMS
from tests.support.recorded import recordings

# Traced beside what is traced natively: how torch.compile looks up what stands for our code, and
# what stands for our optimizer hooks.
OURS = {"getattr_and_trace", "do_nothing"}


def compiled(python: Python, backend: str, out: Path | None) -> dict[str, Any]:
    """What tests/programs/compiled_training.py prints."""
    environ = {
        "TORCHINDUCTOR_CACHE_DIR": str(python.cwd / "cache"),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }
    if out is not None:
        environ["AUTOINSTR_OUT"] = str(out)
    done = python.run(
        PROGRAMS / "compiled_training.py",
        backend,
        on="1" if out is not None else None,
        env=environ,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "autoinstr" not in done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "backend",
    [
        "aot_eager",
        pytest.param(
            "inductor",
            marks=[
                pytest.mark.long,
                pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs g++"),
            ],
        ),
    ],
)
def test_same_graphs_frames_and_results(tmp_path: Path, backend: str) -> None:
    folders = [tmp_path / name for name in ("native", "agent")]
    for folder in folders:
        folder.mkdir()
    native = compiled(Python(sys.executable, folders[0]), backend, None)
    agent = compiled(Python(sys.executable, folders[1]), backend, tmp_path / "run")
    for case, facts in native.items():
        traced = set(agent[case].pop("traced")) ^ set(facts.pop("traced"))
        assert {place.rpartition(":")[2] for place in traced} <= OURS, (case, traced)
        assert agent[case] == facts, case
    # The cases do compile, and do what they are called.
    for case in (
        "model_compiled",
        "whole_adamw",
        "step_adamw",
        "clip_fullgraph",
        "collectives_fullgraph",
    ):
        assert native[case]["stats"]["unique_graphs"] >= 1, case
    assert native["data_parallel"]["frames"]["ok"] > 10
    assert native["collectives_fullgraph"]["graph_break"] == []
    assert "Unsupported" in native["whole_fullgraph"]["result"], (
        "an error of torch.compile's is the same error"
    )
    (recording,) = recordings(tmp_path / "run")
    names = recording.names
    found = Counter(
        names[words[at]].message
        for _, words in recording.read_blocks()
        for at in range(0, len(words), 3)
    )
    # Two programs step their optimizer outside of compiled code; a step inside it is code of the
    # graph's, and has no range.
    assert found["backward"] > 10 and found["dist.barrier"] == found["save"] == found["load"] == 1
    assert found["optim.step"] == 6 and found["step"] >= 6
    assert not recording.find_open_ranges()
