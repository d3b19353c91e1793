"""Random and damaged input of every kind: an answer or an error of one line, never a crash, a hang or growing memory.

The corpus is kept in corpus/: what once failed lies there and is tried again each time. `make test-long` lets atheris look for more."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import REPO, clean_environment
from tests.fuzz.entries import ENTRIES, check
from tests.recordings import make_recording

CORPUS = Path(__file__).parent / "corpus"
SECONDS = 120  # of atheris, for each kind of input
QUICK = settings(max_examples=60)

WORDS = st.text(st.sampled_from("layers.*?[]-0123,=:;\\#!re class depth path exclude include mstx on off \"'é\x00\n"), max_size=60)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
KEYS = (
    *("id", "kind", "domain", "message", "root", "path", "cls", "module", "index", "tid", "name", "roles", "rank", "world_size", "host"),
    *("boot", "argv", "versions", "emitter", "options", "target", "status", "reason", "count", "phase", "step", "requests", "request"),
    *("tokens", "kv_usage", "external"),
)
LIKELY = st.sampled_from([1, 2, 3, 0, "range", "mark", "Module", "vllm", "request.arrived", "sched.schedule", "r@1", "decode", "layers.0"])
FIELDS = st.dictionaries(st.sampled_from(KEYS), LIKELY | VALUES, max_size=9)
KINDS = ("name", "name", "thread", "meta", "header", "target", "left_out")
DEFINITION = st.builds(lambda kind, fields: {"t": kind, **fields}, st.sampled_from(KINDS), FIELDS)
ATTRIBUTE = st.tuples(st.just(0), st.sampled_from([1, 2, 3]), st.sampled_from(range(100, 150, 10)), FIELDS).map(list)


@pytest.mark.parametrize("file", sorted(CORPUS.glob("*/*")), ids=lambda file: f"{file.parent.name}-{file.name}")
def test_what_is_kept(file: Path) -> None:
    check(file.parent.name, file.read_bytes())


@pytest.mark.parametrize("name", ["environment", "patterns", "configuration_file"])
@QUICK
@given(data=st.one_of(st.binary(max_size=200), st.lists(WORDS, max_size=12).map(lambda words: "\n".join(words).encode())))
def test_texts(name: str, data: bytes) -> None:
    check(name, data)


@QUICK
@given(st.lists(st.one_of(DEFINITION, DEFINITION, ATTRIBUTE), max_size=12))
def test_sound_entries_that_mean_nothing(entries: list[object]) -> None:
    check("definitions", "\n".join(map(json.dumps, entries)).encode())


@QUICK
@given(st.data())
def test_recordings_with_bytes_changed(data: st.DataObject) -> None:
    damaged = bytearray(_whole())
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    check("recording", bytes(damaged[: data.draw(st.one_of(st.none(), st.integers(0, len(damaged))))]))


_made: list[bytes] = []


def _whole() -> bytes:
    if not _made:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            paths = ("", "a.0", "a.1", "b")
            calls = [(thread, path, "L", 100 * at + 1, 100 * at + 90) for thread in (0, 1) for at, path in enumerate(paths)]
            _made.append(Path(make_recording(folder, calls)).read_bytes())
    return _made[0]


@pytest.mark.long
@pytest.mark.peers
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("name", list(ENTRIES))
def test_atheris_finds_nothing(name: str, tmp_path: Path) -> None:
    """Guided by coverage; a hang is ten seconds for one input, and memory may not pass 1 GiB."""
    python = REPO / ".venv-peers" / "bin" / "python"
    if not list((REPO / ".venv-peers").glob("lib/python*/site-packages/atheris")):
        pytest.skip("no atheris: `make setup` could not install it")
    found = tmp_path / "corpus"
    found.mkdir()
    seeds = CORPUS / name
    if name == "recording":
        (found / "whole").write_bytes(_whole())
    limits = [f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=1024", "-max_len=20000", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(
        [python, "-m", "tests.fuzz.with_atheris", name, *limits, found, *([seeds] if seeds.is_dir() else [])],
        cwd=tmp_path,
        env=clean_environment(PYTHONPATH=str(REPO)),
        capture_output=True,
        text=True,
        timeout=SECONDS + 100,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs and int(runs[1]) > 100, done.stderr[-1000:]
    print(f"{name}: {int(runs[1]):,} inputs, {len(os.listdir(found)):,} that reached something new")
