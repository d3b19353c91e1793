"""Test which profiles `autoinstr analyse` finds, and their labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoinstr.base.errors import AutoinstrError, UsageError
from autoinstr.device.ascend import profiles
from tests.support.ascend_db import database


def raw(folder: Path, rank: int | None = None, stopped: bool = True) -> Path:
    (folder / "FRAMEWORK").mkdir(parents=True)
    (folder / "PROF_000001_2026_ABC" / "device_0").mkdir(parents=True)
    if stopped:
        (
            folder / ("profiler_info.json" if rank is None else f"profiler_info_{rank}.json")
        ).write_text("{}")
    return folder


def analysed(folder: Path, rank: int | None = 0) -> Path:
    with database(folder, rank):
        pass
    return folder


def test_raw_and_analysed_profiles_at_any_depth(tmp_path: Path) -> None:
    raw(tmp_path / "a" / "host_1_2026_ascend_pt", rank=1)
    analysed(tmp_path / "a" / "b" / "c" / "host_2_2026_ascend_pt", rank=0)
    analysed(tmp_path / "renamed", rank=None)
    found = profiles.find_profiles(str(tmp_path)).profiles
    assert [(Path(one.folder).name, one.rank, bool(one.database), one.raw) for one in found] == [
        ("renamed", None, True, False),
        ("host_2_2026_ascend_pt", 0, True, False),
        ("host_1_2026_ascend_pt", 1, False, True),
    ]


@pytest.mark.parametrize(
    "below", ["", "ASCEND_PROFILER_OUTPUT", "ASCEND_PROFILER_OUTPUT/ascend_pytorch_profiler_3.db"]
)
def test_a_profile_is_found_from_inside(tmp_path: Path, below: str) -> None:
    folder = analysed(tmp_path / "host_2_2026_ascend_pt", rank=3)
    [one] = profiles.find_profiles(str(folder / below)).profiles
    assert (one.folder, one.rank) == (str(folder), 3)


def test_a_profile_that_was_never_stopped_is_known_as_such(tmp_path: Path) -> None:
    raw(tmp_path / "x_1_2_ascend_pt", stopped=False)
    raw(tmp_path / "y_1_2_ascend_pt")
    assert [one.stopped for one in profiles.find_profiles(str(tmp_path)).profiles] == [False, True]


def test_of_one_rank_alone(tmp_path: Path) -> None:
    analysed(tmp_path / "a_1_2_ascend_pt", rank=0)
    analysed(tmp_path / "b_1_2_ascend_pt", rank=1)
    assert [one.rank for one in profiles.find_profiles(str(tmp_path), 1).profiles] == [1]
    with pytest.raises(UsageError, match=r"--rank 7.*there are: 0, 1"):
        profiles.find_profiles(str(tmp_path), 7)


def test_labels_tell_profiles_of_one_rank_apart_in_the_order_of_time(tmp_path: Path) -> None:
    analysed(tmp_path / "host_7_20260102_ascend_pt", rank=0)
    analysed(tmp_path / "host_9_20260101_ascend_pt", rank=0)
    analysed(tmp_path / "host_8_20260103_ascend_pt", rank=1)
    found = profiles.find_profiles(str(tmp_path)).profiles
    assert list(zip(profiles.label_profiles(found), [Path(one.folder).name for one in found])) == [
        ("rank 0 #1", "host_9_20260101_ascend_pt"),
        ("rank 0 #2", "host_7_20260102_ascend_pt"),
        ("rank 1", "host_8_20260103_ascend_pt"),
    ]


def test_nothing_there_says_what_was_looked_for_and_what_there_is_instead(tmp_path: Path) -> None:
    with pytest.raises(AutoinstrError, match="holds no profile of torch_npu") as none:
        profiles.find_profiles(str(tmp_path))
    assert none.value.exit_status == 1
    (tmp_path / "PROF_000001_20260101_ABC").mkdir()
    (tmp_path / "msmonitor_12_20260101000000000_0.db").touch()
    with pytest.raises(
        AutoinstrError,
        match=(
            r"PROF_000001_20260101_ABC: msprof session.*no operators.*msmonitor_12.*msMonitor "
            r"database"
        ),
    ):
        profiles.find_profiles(str(tmp_path))


def test_what_is_no_directory_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        profiles.find_profiles(str(tmp_path / "file"))
    with pytest.raises(UsageError, match="there is no such directory"):
        profiles.find_profiles(str(tmp_path / "nowhere"))


def test_results_of_msprof_analyze_are_no_profiles(tmp_path: Path) -> None:
    analysed(tmp_path / "host_1_2_ascend_pt")
    analysed(tmp_path / "cluster_analysis_output" / "copy_1_2_ascend_pt")
    assert len(profiles.find_profiles(str(tmp_path)).profiles) == 1


def test_settings_are_those_that_the_profiler_wrote(tmp_path: Path) -> None:
    config = {
        "common_config": {"activities": ["ProfilerActivity.CPU"]},
        "experimental_config": {"_mstx": True},
    }
    (tmp_path / "profiler_info_0.json").write_text(json.dumps({"config": config}))
    assert profiles.read_settings(str(tmp_path)) == {
        "activities": ["ProfilerActivity.CPU"],
        "mstx": True,
    }
    (tmp_path / "profiler_info_0.json").write_text("[1]")
    assert profiles.read_settings(str(tmp_path)) == {}
