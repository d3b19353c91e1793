"""Run programs on the simulated CANN under the agent."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Python
from tests.npu.simulated import LIMIT_S, POSTLUDE, PRELUDE, PYTHON, Ran, environment, read_log

# A model with repeated blocks, and what it is called by its modules.
MODEL = """
import torch.nn as nn
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.act, self.down = nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8)
    def forward(self, x):
        return x + self.down(self.act(self.up(x)))
class Net(nn.Module):
    def __init__(self, depth=2):
        super().__init__()
        self.layers = nn.ModuleList(Block() for _ in range(depth))
        self.head = nn.Linear(8, 4)
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(x)
torch.manual_seed(0)
net, x = Net().npu(), torch.ones(2, 8).npu()
"""


def run(home: Path, folder: Path, source: str, devices: int = 1, **options: str) -> Ran:
    """Run a program (after PRELUDE and MODEL) with options of the agent.

    Raise AssertionError if it fails, or if the agent logs anything.
    """
    folder.mkdir(parents=True)
    program = folder / "program.py"
    program.write_text(PRELUDE + MODEL + source + POSTLUDE)
    log = folder / "log.jsonl"
    given = {f"AUTOINSTR_{name.upper()}": value for name, value in options.items() if name != "env"}
    done = Python(PYTHON, folder).run(
        program, env={**environment(home, log, devices), **given}, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not simulated" not in done.stderr, done.stderr
    return Ran(
        folder,
        json.loads((folder / "given.json").read_text()),
        read_log(log),
        done.stdout,
        done.stderr,
    )


def said(ran: Ran) -> list[str]:
    """Return the agent's log lines."""
    return [line for line in ran.stderr.splitlines() if line.startswith("autoinstr: ")]


def tree(ran: Ran, domain: str) -> list[str]:
    """Return the messages of a domain in order of start, indented by depth.

    Raise AssertionError if a range has no end, an end in another thread, or the wrong order.
    """
    lines: list[str] = []
    stack: list[tuple[int, int, str]] = []
    for call in ran.of("start", "end"):
        if call.call == "start" and call.domain == domain:
            lines.append(" " * len(stack) + call.message)
            stack.append((call.id, call.tid, call.domain))
        elif call.call == "end" and (
            call.domain == domain or any(call.id == one[0] for one in stack)
        ):
            assert stack, f"an end of nothing: {call}"
            assert stack.pop() == (call.id, call.tid, call.domain), call
    assert not stack, f"not ended: {stack}"
    return lines
