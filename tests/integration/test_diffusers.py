"""A tiny Stable Diffusion with the real diffusers, unedited: equal images, and ranges for the call,
the text, each denoising step and the VAE."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from typing import Any, NamedTuple

import pytest

from autoinstr.recording.reader import Recording
from tests.conftest import REPO, clean_environment
from tests.programs import PROGRAMS
from tests.support import recorded

DIFFUSERS = REPO / ".cache" / "diffusers"
IMAGES = 2


class Runs(NamedTuple):
    native: dict[str, Any]
    agent: dict[str, Any]
    recording: Recording
    report: dict[str, Any]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    pytest.importorskip("transformers", reason="the text encoder is one of transformers")
    if not DIFFUSERS.is_dir():
        pytest.skip("no .cache/diffusers: make setup installs it")
    folder = tmp_path_factory.mktemp("diffusers")
    out = folder / "run"
    environ = clean_environment(
        PYTHONPATH=f"{DIFFUSERS}:{REPO}", OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1"
    )
    program = [sys.executable, str(PROGRAMS / "diffusion.py")]
    agent = [sys.executable, "-m", "autoinstr", "run", "--out", str(out), "--", *program]
    processes = [
        subprocess.Popen(
            command,
            env=environ,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in (program, agent)
    ]
    found = []
    for process in processes:
        stdout, stderr = process.communicate(timeout=600)
        assert process.returncode == 0, stderr[-3000:]
        assert "autoinstr: " not in stderr, stderr[-3000:]
        found.append(json.loads(stdout.splitlines()[-1]))
    command = [sys.executable, "-m", "autoinstr", "report", str(out), "--format", "json", "-o", "-"]
    report = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert report.returncode == 0, report.stderr
    return Runs(*found, recorded.the_recording(out), json.loads(report.stdout))


def test_images_and_graphs_are_the_same(runs: Runs) -> None:
    assert runs.agent == runs.native
    assert len(set(runs.native["checksums"])) == IMAGES
    assert runs.native["graphs"], "the second image is decoded by compiled code"


def test_each_part_of_an_image_is_a_range(runs: Runs) -> None:
    calls = recorded.named(runs.recording)
    images = [call for call in calls if call.message == "diffusers.pipeline"]
    assert len(images) == IMAGES
    for number, image in enumerate(images):
        inner = [call for call in calls if image.start < call.start and call.end < image.end]
        assert [call.message for call in inner if call.message.startswith("diffusers.")] == [
            "diffusers.encode_prompt",
            *["diffusers.step"] * runs.native["steps"],
            *["diffusers.vae_decode"] * (number == 0),  # torch.compile gets diffusers' own function
            "diffusers.postprocess",
        ]
        steps = [call.fields for call in inner if call.message == "diffusers.step"]
        assert steps == [{"step": number + 1} for number in range(runs.native["steps"])]
    assert runs.recording.versions["diffusers"]


def test_a_step_follows_the_model(runs: Runs) -> None:
    models = [one for one in recorded.ranges(runs.recording) if one.cls == "UNet2DConditionModel"]
    steps = [call for call in recorded.named(runs.recording) if call.message == "diffusers.step"]
    assert len(models) == len(steps) == runs.native["unet"] == IMAGES * runs.native["steps"]
    times = [time for model, step in zip(models, steps) for time in (*model[-2:], *step[2:4])]
    assert times == sorted(times)


def test_modules_have_the_phase_of_their_part(runs: Runs) -> None:
    phases: defaultdict[str, set[str | None]] = defaultdict(set)
    for row in runs.report["rows"]:
        if row["domain"] == "Module":
            phases[row["root"].partition("#")[0]].add(row["phase"])
    assert phases.pop("CLIPTextModel") == {"encode"}
    assert phases.pop("UNet2DConditionModel") == {"denoise"}
    # `decode` of the VAE is no module call: its parts are roots. Compiled, it has no phase itself.
    assert phases.pop("GraphModule") == {"denoise"}
    assert phases == {"Conv2d": {"vae", "denoise"}, "Decoder": {"vae", "denoise"}}
