"""Offline, as the guides print it: the profiler without a flag, and the warm-up in the trace.

Nothing on a CPU captures graphs; what is shown is that the same hook profiles the phase in which an
accelerator would."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.vllm.engines import LIMIT_S, Place, ending_all
from tests.vllm.profiled import WARM_UP, events, kinds, mark_warm_up, steps, traces

SCRIPT = str(Path(__file__).with_name("profile_script.py"))
EXPLICIT = {"profiler": "torch", "torch_profiler_with_stack": False}


class Ended(NamedTuple):
    place: Place
    folder: Path  # of the traces
    told: dict[str, Any]  # what the script printed

    @property
    def kv_cache(self) -> str:
        """vLLM's own line about the size."""
        found = re.search(
            r"KV cache size: ([\d,]+ tokens)",
            self.place.log() + self.place.folder.joinpath("stdout").read_text(),
        )
        assert found, self.place.end_of_log()
        return found[1]


@pytest.fixture(scope="module")
def runs(two_layers: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """native: with an explicit configuration, and no agent. only: nothing but the guide's variable.
    through: configured explicitly."""
    base = tmp_path_factory.mktemp("capture")
    places = {
        name: Place(base / name, agent=name != "native", forked=name == "native")
        for name in ("native", "only", "through")
    }
    folders = {
        name: base / name / ("vllm_profile" if name == "only" else "explicit") for name in places
    }
    started: list[subprocess.Popen[str]] = []
    with ending_all(started):
        for name, place in places.items():
            mark_warm_up(place)
            if place.agent:
                place.environ["AUTOINSTR_CAPTURE"] = name
                # No test here looks at stacks, which take time to write.
                place.environ["AUTOINSTR_PROFILER"] = "record_shapes=true;with_stack=false"
            config = (
                []
                if name == "only"
                else [json.dumps({**EXPLICIT, "torch_profiler_dir": str(folders[name])})]
            )
            started.append(place.start(SCRIPT, str(two_layers), *config))
        deadline = time.monotonic() + LIMIT_S
        ended = {}
        for (name, place), process in zip(places.items(), started):
            stdout, _ = process.communicate(timeout=max(1, deadline - time.monotonic()))
            assert process.returncode == 0, place.end_of_log(stdout)
            place.folder.joinpath("stdout").write_text(stdout)
            told = json.loads(
                next(line for line in stdout.splitlines() if line.startswith('{"said"'))
            )
            ended[name] = Ended(place, folders[name], told)
    return ended


@pytest.mark.parametrize("name", ["only", "through"])
def test_every_call_says_what_it_says_natively(runs: dict[str, Ended], name: str) -> None:
    assert runs[name].told["said"] == runs["native"].told["said"]
    assert runs["native"].told["said"].count("ok") == 5
    assert runs[name].told["tokens"] == runs["native"].told["tokens"]


@pytest.mark.parametrize("name", ["only", "through"])
def test_the_kv_cache_has_the_same_size(runs: dict[str, Ended], name: str) -> None:
    assert runs[name].told["blocks"] == runs["native"].told["blocks"] > 0
    assert runs[name].kv_cache == runs["native"].kv_cache


def test_the_directory_set_after_the_import_is_used(runs: dict[str, Ended]) -> None:
    """Whose traces they are is in the names: the program's prefix is its own."""
    assert kinds(runs["only"].folder) == {"capture_rank0": 1, "rank0": 1, "later_rank0": 1}


def test_a_configuration_of_the_program_wins(runs: dict[str, Ended]) -> None:
    assert (
        kinds(runs["through"].folder)
        == kinds(runs["native"].folder)
        == {"rank0": 1, "later_rank0": 1}
    )
    assert not (runs["through"].place.folder / "vllm_profile").exists()


def test_only_has_the_warm_up_in_a_trace_of_its_own(runs: dict[str, Ended]) -> None:
    found = {kind: events(file) for kind, (file,) in traces(runs["only"].folder).items()}
    assert found["capture_rank0"][WARM_UP] == 1
    # What multiplies depends on the processor.
    assert any(
        found["capture_rank0"][name]
        for name in ("aten::mm", "aten::linear", "_C::weight_packed_linear", "_C::onednn_mm")
    )
    assert [found[kind][WARM_UP] for kind in ("rank0", "later_rank0")] == [0, 0]
    assert steps(traces(runs["only"].folder)["capture_rank0"][0]) == 0


def test_through_is_one_session_from_the_warm_up_to_the_first_stop(runs: dict[str, Ended]) -> None:
    (first,), (later,) = (traces(runs["through"].folder)[kind] for kind in ("rank0", "later_rank0"))
    assert events(first)[WARM_UP] == 1
    assert events(later)[WARM_UP] == 0
    native = traces(runs["native"].folder)
    # the request before start_profile is in it as well
    assert steps(first) == 2 * steps(native["rank0"][0]) > 0


def test_parameters_reach_the_profilers_of_vllm(runs: dict[str, Ended]) -> None:
    for name, ended in runs.items():
        for (file,) in traces(ended.folder).values():
            assert (b"Input Dims" in gzip.decompress(file.read_bytes())) == (name != "native")


@pytest.mark.parametrize("name", ["only", "through"])
def test_later_sessions_are_what_they_are_natively(runs: dict[str, Ended], name: str) -> None:
    for kind in ("rank0", "later_rank0") if name == "only" else ("later_rank0",):
        assert (
            steps(traces(runs[name].folder)[kind][0])
            == steps(traces(runs["native"].folder)[kind][0])
            > 0
        )


def test_nothing_is_said(runs: dict[str, Ended]) -> None:
    for name in ("only", "through"):
        assert [
            line
            for line in runs[name].place.log().splitlines()
            if line.startswith("autoinstr: ") or " autoinstr: " in line
        ] == []
