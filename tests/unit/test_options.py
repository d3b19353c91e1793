"""Test the table of options and the types of their values."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstr.config.list_types import PairsType
from autoinstr.config.option import GROUPS
from autoinstr.config.options import BY_NAME, OPTIONS
from autoinstr.config.suggestions import BadValue, find_nearest, join_list, split_list
from autoinstr.config.value_types import ModeType, WindowType
from autoinstr.emitters.registry import find_defaults, list_emitters

# The contract with users: a removed name or another default breaks their commands and files.
CONTRACT = {
    "out": None,
    "emitter": ("auto",),
    "when": None,
    "window": None,
    "name": None,
    "include": (),
    "exclude": (),
    "targets": ("default",),
    "compiled": "modules",
    "streams": None,
    "domain": "Module",
    "attributes": False,
    "profiler": {},
    "capture": "off",
    "mspti": True,
    "metrics": "off",
    "metrics_address": ("127.0.0.1", 9464),
    "durability": "step",
    "max_mb": 512,
    "full": "stop",
    "mode": 0o600,
    "log": "warning",
    "log_format": "console",
    "log_file": None,
    "config": None,
}


def test_names_and_defaults_are_the_contract() -> None:
    assert {option.name: option.default for option in OPTIONS} == CONTRACT


def test_every_option_belongs_to_a_group_that_help_and_docs_show() -> None:
    assert {option.group for option in OPTIONS} == set(GROUPS)


@pytest.mark.parametrize("emitter", [row.name for row in list_emitters()])
def test_every_emitter_has_defaults_of_its_own(emitter: str) -> None:
    defaults = find_defaults(emitter)._asdict()
    assert set(defaults) == {"when", "name", "streams"}
    for option, value in defaults.items():
        assert BY_NAME[option].value_type.parse(value) == value


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("emitter", "mstx,recorder", ("mstx", "recorder")),
        ("emitter", " NVTX , nvtx ", ("nvtx",)),
        ("when", "Manual", "manual"),
        ("window", "all", None),
        ("window", "0:1", (0, 1)),
        ("window", "10:", (10, None)),
        ("name", "path:class", "path:class"),
        ("include", r"Linear, re:a{1\,3} ,", ("Linear", "re:a{1,3}")),
        ("attributes", "yes", True),
        ("mspti", "0", False),
        ("max_mb", " 64 ", 64),
        ("mode", "640", 0o640),
        ("mode", "0o600", 0o600),
        ("mode", "0666", 0o666),
        ("profiler", "level=2; export_type=db,text;", {"level": "2", "export_type": "db,text"}),
        ("out", "/a/../b", "/b"),
        ("domain", "Module", "Module"),
        ("metrics_address", "9000", ("127.0.0.1", 9000)),
        ("metrics_address", "[::1]:80", ("::1", 80)),
    ],
)
def test_good_values(option: str, text: str, value: object) -> None:
    assert BY_NAME[option].value_type.parse(text) == value


@pytest.mark.parametrize(
    ("option", "text", "near"),
    [
        ("emitter", "recoder", "recorder"),
        ("emitter", "none,recorder", "none"),
        ("emitter", ",", None),
        ("when", "profilling", "profiling"),
        ("when", "", None),
        ("window", "10", "0:10"),
        ("window", "5:0", "5:1"),
        ("window", "-1:2", None),
        ("window", ":3", None),
        ("attributes", "of", "off"),
        ("max_mb", "0", None),
        ("max_mb", "-3", None),
        ("max_mb", "64MB", "64"),
        ("max_mb", "9" * 30, None),
        ("max_mb", "٣", None),  # a digit, but not one that int() of C code or a person expects
        ("mode", "0999", "0600"),
        ("mode", "0444", "0644"),
        ("mode", "4600", "0600"),
        ("mode", "", "0600"),
        ("profiler", "level", None),
        ("profiler", "level=1,with_stack=on", "level=1;with_stack=on"),
        ("domain", "a\nb", None),
        ("domain", " ", None),
        ("out", "", None),
        ("out", "a\0b", None),
        ("include", "a\\", "a"),
        ("targets", "all,mlp", "all"),
    ],
)
def test_bad_values_name_the_nearest(option: str, text: str, near: str | None) -> None:
    with pytest.raises(BadValue) as caught:
        BY_NAME[option].value_type.parse(text)
    assert caught.value.suggestion == near
    if near is not None:
        assert BY_NAME[option].value_type.parse(near) is not None  # the advice itself must be taken


@given(
    st.lists(
        st.text(
            st.characters(
                exclude_characters=" \\", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")
            ),
            min_size=1,
        )
    )
)
def test_lists_survive_a_round_trip(pieces: list[str]) -> None:
    assert split_list(join_list(pieces)) == pieces


@given(st.text(max_size=30))
def test_split_list_never_fails_and_leaves_no_blank_piece(text: str) -> None:
    assert all(piece and piece == piece.strip() for piece in split_list(text))


@given(st.integers(0, 10**15 - 1), st.none() | st.integers(1, 10**15 - 1))
def test_windows_survive_a_round_trip(skip: int, count: int | None) -> None:
    kind = WindowType()
    assert kind.parse(kind.dump((skip, count))) == (skip, count)


@given(st.integers(0, 0o777))
def test_modes_survive_a_round_trip(bits: int) -> None:
    kind = ModeType()
    assert kind.parse(kind.dump(bits | 0o600)) == bits | 0o600


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.from_regex(r"[\w,.]{0,8}", fullmatch=True),
        min_size=1,
    )
)
def test_pairs_survive_a_round_trip(pairs: dict[str, str]) -> None:
    kind = PairsType()
    assert kind.parse(kind.dump(pairs)) == pairs


def test_a_relative_path_without_a_working_directory_is_a_clear_error(tmp_path: object) -> None:
    """A daemon whose directory was removed must not crash on os.getcwd."""
    gone = os.path.join(str(tmp_path), "gone")
    os.mkdir(gone)
    before = os.getcwd()
    os.chdir(gone)
    os.rmdir(gone)
    try:
        with pytest.raises(BadValue, match="absolute"):
            BY_NAME["out"].value_type.parse("runs")
    finally:
        os.chdir(before)


def test_nearest_ignores_case_and_gives_up_on_the_unlike() -> None:
    assert find_nearest("WEHN", BY_NAME) == "when"
    assert find_nearest("zzzzzz", BY_NAME) is None


def test_the_runtime_imports_nothing_slow() -> None:
    """options, config, log and filters are imported in the user's process, so every run pays for
    their imports."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "import autoinstr.config.config, autoinstr.base.log\n"
        "import autoinstr.config.filters, autoinstr.base.doctor_channel\n"
        "slow = {'argparse', 'difflib', 'json', 'importlib.metadata', 'tomllib', 'tomli',\n"
        "        'structlog', 'logging', 'dataclasses', 'pathlib', 'subprocess', 'inspect',\n"
        "        'tempfile', 'socket', 'threading'}\n"
        "print(sorted(slow & (set(sys.modules) - before)))\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
