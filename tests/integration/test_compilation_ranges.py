"""The work of torch.compile has ranges, and its tracing is not shown as the program's."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from tests.conftest import Python
from tests.support.recorded import the_recording

# torch.compile traces forward and backward of the module; AOTAutograd calls autograd.grad for that.
PROGRAM = """
import torch
model = torch.compile(torch.nn.Linear(2, 2), backend="aot_eager")
for _ in range(3):
    model(torch.ones(1, 2)).sum().backward()
x = torch.ones(2, requires_grad=True)
print(torch.autograd.grad((x * x).sum(), x)[0].tolist())
"""


def test_compilation_has_ranges_and_tracing_none(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = Python(sys.executable, tmp_path).run(
        program, on="1", env={"AUTOINSTR_OUT": str(tmp_path / "run")}, timeout=280
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("[2.0, 2.0]\n", "")
    recording = the_recording(tmp_path / "run")
    intervals: dict[str, list[tuple[int, int]]] = {}
    for _, words in recording.read_blocks():
        for number, start, end in zip(words[0::3], words[1::3], words[2::3]):
            name = recording.names[number]
            if name.domain == "torch":
                intervals.setdefault(name.message, []).append((start, end))
    counts = Counter({message: len(entries) for message, entries in intervals.items()})
    assert counts == {"compile.dynamo": 1, "compile.aot": 1, "backward": 3, "autograd.grad": 1}
    (dynamo,), (aot,) = intervals["compile.dynamo"], intervals["compile.aot"]
    assert dynamo[0] < aot[0] < aot[1] < dynamo[1]
