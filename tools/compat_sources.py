"""Download the sources of a release, for `tools/compat.py`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "compat"
_PIP = [sys.executable, "-m", "pip"]
_OPTIONS = ["--no-cache-dir", "--no-deps"]


class Package(NamedTuple):
    """Where the releases of a package come from.

    `projects` are its names in the index, those with the smaller wheels first.
    `has_candidates`: its newest code comes as release candidates. `build_tools` are what the
    metadata of a release without wheels needs; empty: every release has a wheel.
    """

    projects: tuple[str, ...]
    platforms: tuple[str, ...]
    has_candidates: bool = False
    build_tools: tuple[str, ...] = ()


def fetch_sources(package: str, release: str, source: Package) -> Path:
    """Return the folder with the .py files of a release; download it if it is not cached.

    Raises SystemExit with the reason where the index does not give it."""
    folder = CACHE / f"{package}-{release}"
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        error = _download_wheel(release, source, work)
        if error and source.build_tools:
            error = _download_archive(release, source, work)
        if error:
            raise SystemExit(f"compat: {package} {release} cannot be downloaded: {error}")
        sources = Path(work) / "sources"
        [file] = (file for file in Path(work).iterdir() if file.suffix in (".whl", ".gz"))
        if file.suffix == ".whl":
            _unpack_wheel(file, package, sources)
        else:
            _unpack_archive(file, package, sources)
        shutil.move(sources, folder)
    return folder


def _download_wheel(release: str, source: Package, folder: str) -> str:
    """Return why none of the projects has a wheel of the release; "" if it was downloaded."""
    command = [*_PIP, "download", *_OPTIONS, "--only-binary=:all:", "--python-version=3.11"]
    command += ["--dest", folder, *(f"--platform={platform}" for platform in source.platforms)]
    error = ""
    for project in source.projects:
        error = _run([*command, f"{project}=={release}"])
        if not error:
            break
    return error


def _download_archive(release: str, source: Package, folder: str) -> str:
    """Return why the source archive cannot be had; "" if it was downloaded. Nothing is built."""
    tools = CACHE / "build_tools"
    error = _run([*_PIP, "install", "--quiet", "--upgrade", "--target", str(tools),
                  "setuptools", "wheel", *source.build_tools])  # fmt: skip
    if error:
        return error
    command = [*_PIP, "download", *_OPTIONS, "--no-build-isolation", "--no-binary=:all:"]
    settings = {
        "PYTHONPATH": str(tools),
        "SETUPTOOLS_SCM_PRETEND_VERSION": release,
        # vllm-ascend's metadata: nothing is compiled, for any kind of device.
        "COMPILE_CUSTOM_KERNELS": "0",
        "SOC_VERSION": "ascend910b1",
    }
    return _run([*command, "--dest", folder, f"{source.projects[0]}=={release}"], settings)


def _run(command: list[str], settings: dict[str, str] | None = None) -> str:
    """Run pip; return the reason of its failure, or ""."""
    process = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(settings or {})}
    )
    if process.returncode == 0:
        return ""
    lines = process.stderr.strip().splitlines()
    # A constraint of pip's configuration may exclude a release.
    every_line = [*process.stdout.splitlines(), *lines]
    reasons = [line.strip() for line in every_line if "(constraint)" in line]
    return "; ".join(reasons or lines[-1:]) or "pip failed"


def _unpack_wheel(file: Path, package: str, folder: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            # OpenRLHF's wheel has its files in the folder for what is no library.
            path = name.partition(".data/purelib/")[2] or name
            if _is_source(path, package) and ".." not in path.split("/"):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(archive.read(name))


def _unpack_archive(file: Path, package: str, folder: Path) -> None:
    with tarfile.open(file) as archive:
        for member in archive:
            name = member.name.partition("/")[2]  # without the archive's own folder
            content = archive.extractfile(member) if _is_source(name, package) else None
            if content is not None and ".." not in name.split("/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content.read())


def _is_source(name: str, package: str) -> bool:
    return name.startswith(package + "/") and name.endswith(".py")
