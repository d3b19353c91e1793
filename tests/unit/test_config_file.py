"""Test configuration files: what they may contain, and which files are trusted."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from autoinstr.base.errors import ConfigError
from autoinstr.config.config import load_config


def written(folder: Path, text: str, mode: int = 0o644) -> str:
    file = folder / "a.toml"
    file.write_text(text)
    file.chmod(mode)
    return str(file)


def refusal(path: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config({"AUTOINSTR": "1", "AUTOINSTR_CONFIG": path})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_type_of_toml_value(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        [autoinstr]
        include = ["*.mlp", 're:x{1,2}']
        exclude = "class:Dropout,depth:4-"
        attributes = true
        max_mb = 64
        mode = "0640"
        window = "10:5"
        profiler = { with_stack = true, level = 2, export_type = ["db", "text"] }
        [[autoinstr.custom_target]]
        name = "load"
        target = "a.b:C.d"
        [tool.other]
        x = 1
        """,
    )
    config = load_config({"AUTOINSTR": file})
    assert config.include == ("*.mlp", "re:x{1,2}")
    assert config.exclude == ("class:Dropout", "depth:4-")
    assert (config.attributes, config.max_mb, config.mode, config.window) == (
        True,
        64,
        0o640,
        (10, 5),
    )
    assert config.profiler["with_stack"] == "on"
    assert config.profiler["level"] == "2"
    assert config.profiler["export_type"] == "db,text"
    assert config.custom_targets == [{"name": "load", "target": "a.b:C.d"}]
    assert config.config == file


def test_children_find_the_file_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative name is made absolute, and a child in another directory gets the rows of the
    file."""
    written(tmp_path, '[autoinstr]\nout = "runs"\n[[autoinstr.custom_target]]\ntarget = "a:b"\n')
    monkeypatch.chdir(tmp_path)
    environ = load_config({"AUTOINSTR": "a.toml"}).to_environ()
    monkeypatch.chdir("/")
    child = load_config(environ)
    assert child.custom_targets == [{"target": "a:b"}]
    assert child.out == str(tmp_path / "runs")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[autoinstr]\nwehn = 'manual'\n",
            "wehn (file {path}): is not an option; did you mean 'when'?",
        ),
        (
            "[autoinstr]\nwhen = 'manul'\n",
            (
                "when='manul' (file {path}): must be one of always, profiling, manual; did you "
                "mean 'manual'?"
            ),
        ),
        (
            "[autoinstr]\nmode = 600\n",
            "mode='600' (file {path}): must be a TOML string; did you mean '\"0600\"'?",
        ),
        ("[autoinstr]\nconfig = 'b.toml'\n", "config (file {path}): cannot stand in a file"),
        (
            "[autoinstr]\ncustom_targets = []\n",
            "custom_targets (file {path}): is not an option; did you mean 'custom_target'?",
        ),
        (
            "[autoinstr]\ncustom_target = 'x'\n",
            "custom_target (file {path}): must be tables, written [[autoinstr.custom_target]]",
        ),
        (
            "[autoinstr]\ninclude = [1]\n",
            "include='[1]' (file {path}): must be a TOML string or an array of strings",
        ),
        (
            "[autoinstr]\nprofiler = { a = 'x;y' }\n",
            "profiler=\"{{'a': 'x;y'}}\" (file {path}): the value of 'a' must not hold a semicolon",
        ),
        (
            "[autoinstr]\nmax_mb = 1.5\n",
            (
                "max_mb='1.5' (file {path}): a TOML float cannot be whole number of MB (2^20 "
                "bytes), at least 1"
            ),
        ),
        (
            "[autoinst]\nwhen = 'manual'\n",
            (
                "config='{path}' (environment AUTOINSTR_CONFIG): has no table [autoinstr], only "
                "[autoinst]"
            ),
        ),
        ("when = 'manual'\n", "when (file {path}): stands outside the table [autoinstr]"),
        ("", "config='{path}' (environment AUTOINSTR_CONFIG): has no table [autoinstr]"),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    assert refusal(path) == said.format(path=path)


def test_what_is_not_toml(tmp_path: Path) -> None:
    assert "is not TOML: " in refusal(written(tmp_path, "[autoinstr\n"))
    file = tmp_path / "b.toml"
    file.write_bytes(b"[autoinstr]\nwhen = '\xff'\n")
    assert "is not TOML: " in refusal(str(file))


@pytest.mark.parametrize("mode", [0o602, 0o646, 0o666, 0o777])
def test_a_file_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    assert f"others can write to it (mode {mode:04o})" in refusal(
        written(tmp_path, "[autoinstr]\n", mode)
    )


def test_a_group_is_others_unless_it_is_the_owners_alone(tmp_path: Path) -> None:
    path = written(tmp_path, "[autoinstr]\nwhen = 'manual'\n", 0o664)
    status = os.stat(path)
    if status.st_gid == status.st_uid:
        assert load_config({"AUTOINSTR": path}).when == "manual"
        if os.geteuid() != 0:
            pytest.skip("only root can give the file to another group")
        os.chown(path, status.st_uid, status.st_uid + 1)
    assert "others can write to it (mode 0664)" in refusal(path)


def test_links_are_followed_and_judged_by_what_they_point_to(tmp_path: Path) -> None:
    """Kubernetes mounts a ConfigMap as links. The mode of the link itself (0777) has no meaning."""
    target = written(tmp_path, "[autoinstr]\nwhen = 'manual'\n")
    link = tmp_path / "link.toml"
    link.symlink_to(target)
    assert load_config({"AUTOINSTR": str(link)}).when == "manual"
    os.chmod(target, 0o666)
    assert "others can write to it" in refusal(str(link))


def test_a_fifo_a_folder_and_a_device_are_refused_at_once(tmp_path: Path) -> None:
    """To open a FIFO without a writer would hang the user's program."""
    fifo = tmp_path / "fifo.toml"
    os.mkfifo(fifo, 0o600)
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    for path in (str(fifo), str(folder), "/dev/null"):
        assert "is not a regular file" in refusal(path)


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    written(tmp_path, "[autoinstr]\n")
    assert refusal(str(tmp_path / "aa.toml")).endswith(
        f"there is no such file; did you mean '{tmp_path / 'a.toml'}'?"
    )
    assert refusal(str(tmp_path / "none" / "aa.toml")).endswith("there is no such file")


def test_an_unreadable_file_and_a_huge_one(tmp_path: Path) -> None:
    huge = written(tmp_path, "#" * (1 << 20) + "\n[autoinstr]\n")
    assert "is larger than 1048576 bytes" in refusal(huge)
    if os.geteuid() != 0:
        closed = written(tmp_path, "[autoinstr]\n", stat.S_IWUSR)
        assert "cannot be read: Permission denied" in refusal(closed)
