"""Test the checks of a configuration file: its owner, who can write to it, and the target of its
links."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoinstr.base.errors import ConfigError
from autoinstr.config.config import load_config
from tests.conftest import REPO, clean_environment

OTHER = 54321
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give a file to another user"
)


def config_map(folder: Path, text: str, file_mode: int = 0o644) -> Path:
    """Mount a ConfigMap as the kubelet does: name -> ..data/name, ..data -> a folder with a time in
    its name."""
    real = folder / "..2026_01_01_00_00_00.123456789"
    real.mkdir(parents=True)
    (real / "a.toml").write_text(text)
    (real / "a.toml").chmod(file_mode)
    (folder / "..data").symlink_to(real.name)
    (folder / "a.toml").symlink_to("..data/a.toml")
    return folder / "a.toml"


TOML = '[autoinstr]\nwhen = "manual"\n'


@needs_root
def test_a_configuration_of_another_user(tmp_path: Path) -> None:
    path = config_map(tmp_path / "map", TOML)
    assert load_config({"AUTOINSTR": str(path)}).when == "manual"
    os.chown(path, OTHER, OTHER)  # follows the links
    with pytest.raises(
        ConfigError, match=rf"belongs to user {OTHER}, and must belong to this user \(0\) or root"
    ):
        load_config({"AUTOINSTR": str(path)})


@pytest.mark.parametrize("file_mode", [0o646, 0o666, 0o777])
def test_a_config_map_that_others_can_write_to(file_mode: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="others can write to it"):
        load_config({"AUTOINSTR": str(config_map(tmp_path, TOML, file_mode))})


@pytest.fixture
def bare_place() -> Iterator[Path]:
    """A folder that every user can enter; pytest's own is closed."""
    folder = Path(tempfile.mkdtemp(prefix="autoinstr-security-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def open_python() -> str:
    """A Python of 3.11 or later that every user can run (this one may lie in a closed home)."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            if not subprocess.run(
                [python, "-c", "import tomllib"], user=OTHER, group=0, extra_groups=[], cwd="/"
            ).returncode:
                return python
        except OSError:
            continue
    pytest.skip("no Python 3.11 or later that other users can run")


@needs_root
@pytest.mark.parametrize(("group", "file_mode"), [(0, 0o644), (0, 0o664), (4711, 0o440)])
def test_a_random_user_in_group_0(group: int, file_mode: int, bare_place: Path) -> None:
    """OpenShift: the process has an arbitrary user id, group 0, and perhaps an fsGroup.

    The file belongs to root."""
    path = config_map(bare_place / "map", TOML, file_mode)
    os.chown(path, 0, group)
    program = (
        f"from autoinstr.config.config import load_config; print(load_config({{'AUTOINSTR': "
        f"{str(path)!r}}}).when)"
    )
    ended = subprocess.run(
        [open_python(), "-B", "-c", program],
        env=clean_environment(PYTHONPATH=str(REPO)),
        cwd="/",
        capture_output=True,
        text=True,
        user=1000680000,
        group=0,
        extra_groups=[0, 4711],
    )
    assert ended.stdout == "manual\n", ended.stderr


def test_a_configuration_that_is_a_pipe_behind_links(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "a.toml").symlink_to("fifo")
    with pytest.raises(ConfigError, match="is not a regular file"):
        load_config({"AUTOINSTR": str(tmp_path / "a.toml")})
    (tmp_path / "b.toml").symlink_to("nowhere")
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config({"AUTOINSTR": str(tmp_path / "b.toml")})
