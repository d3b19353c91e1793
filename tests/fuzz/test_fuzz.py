"""Random and damaged input of every kind: an answer or an error of one line, never a crash or a
hang (memory: test_growth.py).

What once failed lies in corpus/ENTRY, beside sound inputs, and is tried again each time. `make
test-long` lets atheris look for more. What it finds, test_atheris_finds_nothing copies to
corpus/ENTRY, as libFuzzer names it (crash-…, timeout-…, oom-…): there it fails every run of this
file until it is fixed. Give it a name that says what it is, and commit it with the fix.
corpus/recording/sound and the damaged ones beside it came from seeds.py."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstr.analysis.blocks import ignore_tick
from autoinstr.analysis.runs import find_run
from autoinstr.base.errors import AutoinstrError, UsageError
from autoinstr.report.ascend_db.export import export
from tests.conftest import REPO, clean_environment
from tests.fuzz.entries import CLOCKS, ENTRIES, check
from tests.fuzz.seeds import PAIRS, SECOND, sound
from tests.support.recordings import make_recording, set_clock

CORPUS = Path(__file__).parent / "corpus"
SECONDS = 120  # of atheris, for each kind of input
QUICK = settings(max_examples=60)
pytestmark = pytest.mark.timeout(60)  # of a hang: hypothesis itself goes by no clock

WORDS = st.text(
    st.sampled_from(
        "layers.*?[]-0123,=:;\\#!re class depth path exclude include mstx on off \"'é\x00\n"
    ),
    max_size=60,
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=4,
)
KEYS = (
    *(
        "id",
        "kind",
        "domain",
        "message",
        "root",
        "path",
        "cls",
        "module",
        "index",
        "tid",
        "name",
        "roles",
        "rank",
        "world_size",
        "host",
    ),
    *(
        "boot",
        "argv",
        "versions",
        "emitter",
        "options",
        "target",
        "status",
        "reason",
        "count",
        "phase",
        "step",
        "requests",
        "request",
    ),
    *("tokens", "kv_usage", "external"),
)
LIKELY = st.sampled_from(
    [
        1,
        2,
        3,
        0,
        "range",
        "mark",
        "Module",
        "vllm",
        "request.arrived",
        "sched.schedule",
        "r@1",
        "decode",
        "layers.0",
    ]
)
FIELDS = st.dictionaries(st.sampled_from(KEYS), LIKELY | VALUES, max_size=9)
KINDS = ("name", "name", "thread", "meta", "header", "target", "left_out")
DEFINITION = st.builds(lambda kind, fields: {"t": kind, **fields}, st.sampled_from(KINDS), FIELDS)
ATTRIBUTE = st.tuples(
    st.just(0), st.sampled_from([1, 2, 3]), st.sampled_from(range(100, 150, 10)), FIELDS
).map(list)
# A change of the clock pairs of merge_inputs' recordings, xor: nothing, something, or anything.
CLOCK = st.one_of(
    st.just(0),
    st.just(0),
    st.integers(0, 10 * SECOND),
    st.sampled_from(PAIRS),
    st.integers(0, (1 << 64) - 1),
)
EDIT = st.tuples(st.integers(0, 1), st.integers(0, (1 << 16) - 1), st.integers(0, 255))
# How many recordings the merges of some kept inputs are made of: those that are sound, are all
# there.
MERGED = {
    "recording/sound": 2,
    "recording/checksum-wrong": 2,
    "recording/clock-never-taken": 1,
    "definitions/vllm": 2,
    "merge_inputs/sound": 2,
    "merge_inputs/a-year-apart": 1,
    "merge_inputs/one-process-twice": 1,
    "merge_inputs/neither-is-readable": 0,
}


@pytest.mark.parametrize(
    "file", sorted(CORPUS.glob("*/*")), ids=lambda file: f"{file.parent.name}-{file.name}"
)
def test_what_is_kept(file: Path) -> None:
    merged = check(file.parent.name, file.read_bytes())
    known = MERGED.get(f"{file.parent.name}/{file.name}")
    assert known is None or merged == known


def test_merges_of_what_is_kept_are_known() -> None:
    assert all((CORPUS / name).is_file() for name in MERGED)


@pytest.mark.parametrize("name", ["environment", "patterns", "configuration_file"])
@QUICK
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.lists(WORDS, max_size=12).map(lambda words: "\n".join(words).encode()),
    )
)
def test_texts(name: str, data: bytes) -> None:
    check(name, data)


@QUICK
@given(st.lists(st.one_of(DEFINITION, DEFINITION, ATTRIBUTE), max_size=12))
def test_sound_entries_that_mean_nothing(entries: list[object]) -> None:
    check("definitions", "\n".join(map(json.dumps, entries)).encode())


@QUICK
@given(st.data())
def test_recordings_with_bytes_changed(data: st.DataObject) -> None:
    damaged = bytearray(sound())
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    check(
        "recording", bytes(damaged[: data.draw(st.one_of(st.none(), st.integers(0, len(damaged))))])
    )


@QUICK
@given(st.tuples(*[CLOCK] * 8), st.integers(0, 15), st.lists(EDIT, max_size=6))
def test_merges_of_wild_clocks_and_changed_bytes(
    clocks: tuple[int, ...], shared: int, edits: list[tuple[int, int, int]]
) -> None:
    changes = b"".join(
        bytes([which]) + place.to_bytes(2, "little") + bytes([value])
        for which, place, value in edits
    )
    check("merge_inputs", CLOCKS.pack(*clocks) + bytes([shared]) + changes)


@pytest.mark.parametrize("name", ["recording", "definitions", "merge_inputs"])
def test_a_merge_that_is_none_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry whose merge always fails, or leaves out what is sound, shows nothing: that is an
    error of its own."""

    def refuses(*args: object, **more: object) -> None:
        raise UsageError("-o: lies inside of what is to be merged")

    kept = CORPUS / name / ("vllm" if name == "definitions" else "sound")
    monkeypatch.setattr("tests.fuzz.entries.merge_runs", refuses)
    if name == "merge_inputs":
        assert (
            check(name, kept.read_bytes()) == 0
        )  # where both may be damaged, only test_what_is_kept knows how many there must be
    else:
        with pytest.raises(AssertionError, match="keeps the sound one from being merged"):
            check(name, kept.read_bytes())


@pytest.mark.parametrize(
    ("wall", "end"), [((1 << 64) - 1, 300), (PAIRS[0], (1 << 64) - 1)], ids=["clock", "time"]
)
def test_ascend_db_of_times_that_cannot_be(wall: int, end: int, tmp_path: Path) -> None:
    set_clock(make_recording(str(tmp_path / "run"), [(0, "", "Net", 100, end)]), wall, PAIRS[1])
    with pytest.raises(AutoinstrError, match="a time in it is beyond what a database holds"):
        export(find_run(str(tmp_path / "run")), (), str(tmp_path / "out"), "class", ignore_tick)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.long
@pytest.mark.peers
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("name", list(ENTRIES))
def test_atheris_finds_nothing(name: str, tmp_path: Path) -> None:
    """Guided by coverage, and beginning with what is kept; a hang is ten seconds for one input, and
    memory may not pass 1 GiB. A find is copied to corpus/ENTRY, to stay there."""
    python = REPO / ".venv-peers" / "bin" / "python"
    if not list((REPO / ".venv-peers").glob("lib/python*/site-packages/atheris")):
        pytest.skip("no atheris: `make setup` could not install it")
    found = tmp_path / "corpus"
    found.mkdir()
    seeds = CORPUS / name
    limits = [
        f"-max_total_time={SECONDS}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-max_len=20000",
        f"-artifact_prefix={tmp_path}/",
    ]
    done = subprocess.run(
        [python, "-m", "tests.fuzz.with_atheris", name, *limits, found, seeds],
        cwd=tmp_path,
        env=clean_environment(PYTHONPATH=str(REPO)),
        capture_output=True,
        text=True,
        timeout=SECONDS + 100,
    )
    for one in tmp_path.glob("*-*"):
        if one.name.startswith(("crash-", "timeout-", "oom-")):
            shutil.copy(one, seeds)
    assert done.returncode == 0, done.stderr[-4000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs and int(runs[1]) > 100, done.stderr[-1000:]
    print(f"{name}: {int(runs[1]):,} inputs, {len(os.listdir(found)):,} that reached something new")
