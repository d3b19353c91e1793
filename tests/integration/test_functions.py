"""Test function targets in a real process: a user's own rows, torch's rows, and rows with
mistakes."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from autoinstr.recording.reader import Recording
from autoinstr.recording.run import open_run
from tests.conftest import GATE, Python, clean_environment

WORK = """
import asyncio

class Service:
    def handle(self, items):
        if not items:
            raise ValueError("nothing to do")
        return [self.one(item) for item in items]

    @staticmethod
    def one(item):
        return item * 2

async def serve(item):
    await asyncio.sleep(0)
    return item
"""

CONFIG = """
[[autoinstr.custom_target]]
name = "service.handle"
target = "work:Service.handle"
attributes = ["count"]

[[autoinstr.custom_target]]
name = "service.one"
target = "work:Service.one"

[[autoinstr.custom_target]]
name = "serve"
target = "work:serve"
domain = "api"

[[autoinstr.custom_target]]
name = "gone"
target = "work:Service.handel"

[[autoinstr.custom_target]]
name = "service.one"
target = "work:serve"

[[autoinstr.custom_target]]
name = "nowhere"
target = "work.missing:serve"

[[autoinstr.custom_target]]
name = "odd"
target = "work:serve"
kind = "sideways"
"""

PROGRAM = """
import asyncio, json, sys, torch
import work
service = work.Service()
results = [service.handle([1, 2, 3]), service.handle([4])]
try:
    service.handle([])
except ValueError as error:
    results.append(str(error))
results.append(asyncio.run(work.serve(7)))
torch.save({"a": torch.ones(2)}, sys.argv[1])
results.append(torch.load(sys.argv[1])["a"].tolist())
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[object], str, Recording]:
    """One process with the agent: what it printed, its stderr, its recording."""
    folder = tmp_path_factory.mktemp("functions")
    for name, text in (("work.py", WORK), ("config.toml", CONFIG), ("program.py", PROGRAM)):
        (folder / name).write_text(text)
    os.chmod(folder / "config.toml", 0o600)
    settings = {
        "AUTOINSTR": "1",
        "AUTOINSTR_TARGETS": "default,save,load",
        "AUTOINSTR_CONFIG": str(folder / "config.toml"),
        "AUTOINSTR_OUT": str(folder / "run"),
    }
    environ = clean_environment(PYTHONPATH=str(GATE), **settings)
    done = Python(sys.executable, folder).run("program.py", str(folder / "saved.pt"), env=environ)
    assert done.returncode == 0, done.stderr
    (recording,) = open_run(str(folder / "run")).recordings
    return json.loads(done.stdout), done.stderr, recording


def test_the_program_sees_nothing_of_it(run: tuple[list[object], str, Recording]) -> None:
    assert run[0] == [[2, 4, 6], [8], "nothing to do", 7, [1.0, 1.0]]


def test_every_call_has_one_range_in_its_domain(run: tuple[list[object], str, Recording]) -> None:
    names = run[2].names
    found = Counter(
        (names[words[at]].domain, names[words[at]].message)
        for _, words in run[2].read_blocks()
        for at in range(0, len(words), 3)
    )
    assert found == {
        ("user", "service.handle"): 3,
        ("user", "service.one"): 4,
        ("api", "serve"): 1,
        ("torch", "save"): 1,
        ("torch", "load"): 1,
    }
    assert not run[2].find_open_ranges()


def test_getters_read_each_call(run: tuple[list[object], str, Recording]) -> None:
    names = run[2].names
    counts = [
        fields["count"]
        for _, name, _, fields in run[2].read_attributes()
        if names[name].message == "service.handle"
    ]
    assert counts == [3, 1, 0]


@pytest.mark.parametrize(
    "words",
    [
        ("gone", "handle"),
        ("service.one", "an earlier row has this name"),
        ("odd", "sideways"),
        ("nowhere", "does not exist"),
    ],
)
def test_what_is_wrong_is_one_line_and_the_rest_works(
    run: tuple[list[object], str, Recording], words: tuple[str, ...]
) -> None:
    lines = [line for line in run[1].splitlines() if all(word in line for word in words)]
    assert len(lines) == 1 and lines[0].startswith("autoinstr: "), run[1]


def test_the_file_is_where_it_was_asked_for(run: tuple[list[object], str, Recording]) -> None:
    assert Path(run[2].file).parent.name == "run"
