"""Test that nothing is imported while torch's Python tracer runs: the tracer keeps the names of
imported code by address, and `key_averages()` then fails."""

from __future__ import annotations

import pytest

from tests.conftest import GATE, REPO, Python
from tests.programs import PROGRAMS

# The first range of the process lies in the profile, and the program logs a line there.
INFERENCE = """
import sys, torch
from torch.profiler import ProfilerActivity, profile
imported = []
def note_import(event, arguments):
    if event == "import" and torch._C._autograd._profiler_enabled():
        imported.append(arguments[0])
class Pair(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    def __call__(self, *inputs):
        with torch.profiler.record_function("pair"):
            return super().__call__(*inputs)
    def forward(self, first, second):
        return self.inner(first) + self.inner(second)
pair = Pair()
sys.addaudithook(note_import)
for activities in ([ProfilerActivity.CPU], None):
    with profile(activities=activities, with_modules=True, with_stack=True) as profiler:
        pair(torch.ones(1, 2), torch.ones(1, 2))
    profiler.key_averages()
print(imported)
"""


@pytest.mark.parametrize(
    ("program", "options"),
    [
        ("inference", {"AUTOINSTR_LOG": "info"}),
        ("training", {"AUTOINSTR_WHEN": "profiling"}),
        ("training", {"AUTOINSTR_EMITTER": "recorder,torch"}),
        pytest.param("training", {"AUTOINSTR_WHEN": "manual"}, marks=pytest.mark.long),
        pytest.param("inference", {"AUTOINSTR_WINDOW": "1:2"}, marks=pytest.mark.long),
    ],
    ids=["inference", "training", "two-emitters", "manual", "window"],
)
def test_nothing_is_imported(python: Python, program: str, options: dict[str, str]) -> None:
    (python.cwd / "inference.py").write_text(INFERENCE)
    words = (
        ("inference.py",)
        if program == "inference"
        else (PROGRAMS / "imports_in_profile.py", "late")
    )
    environ = {"AUTOINSTR_OUT": "out", "OMP_NUM_THREADS": "1", **options}
    done = python.run(*words, path=(GATE, REPO), env=environ)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
