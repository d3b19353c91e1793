"""Install a release of torch into a folder, for another Python, without the CUDA that it asks for.

The index has builds of torch for CUDA only. Their other libraries are several gigabytes, and a
machine without a GPU needs none of them. Libraries of the same names take their place: each
function of theirs returns the error "no device". So torch finds no GPU, as in a build for CPUs.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import sysconfig
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MACHINE = platform.machine()
PLATFORMS = [f"manylinux_2_{minor}_{MACHINE}" for minor in (34, 31, 28, 27, 24, 17, 12, 5)]
PLATFORMS += [f"manylinux{year}_{MACHINE}" for year in (2014, 2010, 1)]
# What torch imports, and what the agent does. setuptools: distutils of torch's compilers.
NEEDED = "sympy networkx jinja2 fsspec filelock typing_extensions setuptools wrapt structlog tomli"
NO_DEVICE = 100  # cudaErrorNoDevice
_LIBRARIES_OF_CUDA = re.compile(r"lib(cu|nv|nccl)[\w-]*\.so[.\d]*$")
_NAMES_OF_CUDA = re.compile(r"_*(cu|nv|nccl)\w+$", re.IGNORECASE)


def install(packages: list[str], python: str, folder: Path, *options: str) -> None:
    """Install wheels into a folder for a Python version such as "3.9". Raises AssertionError."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--no-cache-dir", "--no-compile", "--only-binary=:all:", "--upgrade"]
    command += ["--target", str(folder), "--implementation=cp", f"--python-version={python}"]
    command += [f"--platform={platform}" for platform in PLATFORMS]
    done = subprocess.run([*command, *options, *packages], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def install_torch(release: str, python: str, folder: Path) -> None:
    """Install torch and what it imports. Raises AssertionError with pip's last lines."""
    numbers = tuple(map(int, release.split(".")[:2]))
    # The first builds of torch for NumPy 2 are those of 2.3.
    install([*NEEDED.split(), "numpy<2" if numbers < (2, 3) else "numpy"], python, folder)
    install([f"torch=={release}"], python, folder, "--no-deps")
    replace_cuda(folder / "torch")


def make_overlay(folder: Path) -> tuple[Path, Path]:
    """Make an environment over the one that runs the tests; return its Python and its packages.

    The packages of the environment below come after its own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    [site] = folder.glob("lib/python*/site-packages")
    shared = sysconfig.get_path("purelib")
    (site / "shared.pth").write_text(f"import site; site.addsitedir({shared!r})\n")
    return folder / "bin" / "python", site


def replace_cuda(package: Path) -> list[str]:
    """Write the libraries of CUDA that torch's own need, and return their names."""
    files = {*package.glob("lib/*.so*"), *package.glob("_C*.so")}
    needed = {name for file in files for name in _read(file, "NEEDED")}
    names = sorted(filter(_LIBRARIES_OF_CUDA.match, needed - {file.name for file in files}))
    # Version of symbols, or "" -> name of a symbol -> its C
    symbols: dict[str, dict[str, str]] = defaultdict(dict)
    for file in files:
        for line in _run("nm", "-D", "--undefined-only", str(file)).splitlines():
            name, _, version = line.split()[-1].partition("@")
            if _NAMES_OF_CUDA.match(name):
                symbols[version.lstrip("@")][name] = _write_function(name)
    versions = _read_versions(files)
    for name in names:
        own_versions = sorted(versions[name] & set(symbols)) or [""]
        code = [line for one in own_versions for line in symbols[one].values()]
        options = ["-shared", "-x", "c", "-", "-o", str(package / "lib" / name)]
        options += [f"-Wl,-soname,{name}", "-w"]
        if own_versions != [""]:
            script = package / "lib" / "stand-in.map"
            nodes = (f"{one} {{ global: {'; '.join(symbols[one])}; }};" for one in own_versions)
            script.write_text("\n".join(nodes))
            options.append(f"-Wl,--version-script={script}")
        _run("gcc", *options, text="\n".join(code))
    return names


def _read_versions(files: Iterable[Path]) -> dict[str, set[str]]:
    """Return the versions of symbols that these files need, by library."""
    versions: dict[str, set[str]] = defaultdict(set)
    library = ""
    for file in files:
        for line in _run("readelf", "-V", "-W", str(file)).splitlines():
            if " File: " in line:
                library = line.split(" File: ")[1].split()[0]
            elif " Name: " in line and "Flags:" in line:
                versions[library].add(line.split(" Name: ")[1].split()[0])
    return versions


def rename_cuda_options(package: Path) -> None:
    """Give the options of CUDA's allocator other names: torch_npu registers the same ones.

    torch ends the process where a name is registered twice; a build for CPUs has none of them."""
    library = package / "lib" / "libc10_cuda.so"
    if library.exists():
        code = library.read_bytes()
        for option in (b"pinned_reserve_", b"per_process_memo"):
            code = code.replace(option[:8], b"x" + option[1:8])
        library.write_bytes(code)


def _write_function(name: str) -> str:
    if name.endswith(("String", "Name")):
        return f'const char *{name}(void) {{ return "no CUDA"; }}'
    return f"long {name}(void) {{ return {NO_DEVICE}; }}"


def _read(file: Path, tag: str) -> list[str]:
    return re.findall(rf"\({tag}\).*\[(.+)\]", _run("readelf", "-d", str(file)))


def _run(*command: str, text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
