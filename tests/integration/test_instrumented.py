"""What a recording says about the instrumentation of its process: options, targets, and classes
that filters left out; also if the process was killed, and in a forked child."""

from __future__ import annotations

from autoinstr.recording.reader import Recording
from tests.conftest import Python
from tests.support.recorded import recordings

PROGRAM = """
import os, signal, sys
import torch
import work

class Net(torch.nn.Sequential):
    pass

net = Net(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5), torch.nn.Dropout(0.1), torch.nn.ReLU())
net(torch.ones(1, 2))
work.called()
if os.fork() == 0:
    net(torch.ones(1, 2))
    work.called()
    os.kill(os.getpid(), signal.SIGKILL)
os.wait()
"""

CONFIG = """
[[autoinstr.custom_target]]
name = "called"
target = "work:called"

[[autoinstr.custom_target]]
name = "gone"
target = "work:calld"

[[autoinstr.custom_target]]
name = "never"
target = "nowhere:called"
"""


def run(python: Python, **settings: str) -> list[Recording]:
    (python.cwd / "work.py").write_text("def called(): pass\ndef uncalled(): pass\n")
    (python.cwd / "program.py").write_text(PROGRAM)
    config = python.cwd / "autoinstr.toml"
    config.write_text(CONFIG)
    config.chmod(0o600)
    environ = {
        "AUTOINSTR_OUT": str(python.cwd / "out"),
        "AUTOINSTR_CONFIG": str(config),
        **settings,
    }
    done = python.run("program.py", env=environ)
    assert done.returncode == 0, done.stderr
    found = recordings(python.cwd / "out")
    assert sorted(one.is_complete for one in found) == [False, True]
    return found


def test_a_parent_and_its_killed_child_both_say_it(python: Python) -> None:
    for one in run(
        python,
        AUTOINSTR_EXCLUDE="class:Dropout,path:3",
        AUTOINSTR_TARGETS="default,called,gone,never",
    ):
        options = one.header["options"]
        assert (options["exclude"], options["targets"]) == (
            "class:Dropout,path:3",
            "default,called,gone,never",
        )
        assert "max_mb" not in options, "an option that nobody has set"
        mine = {
            row["name"]: row for row in one.targets if row["name"] in ("called", "gone", "never")
        }
        assert {name: row["status"] for name, row in mine.items()} == {
            "called": "wrapped",
            "gone": "missing",
        }
        assert (mine["gone"]["wanted"], mine["gone"]["nearest"]) == ("calld", "called")
        assert {"backward", "optim.step"} <= {
            row["name"] for row in one.targets if row["status"] == "wrapped"
        }
        assert [(row["cls"], row["path"], row["reason"]) for row in one.excluded_classes] == [
            ("Dropout", "1", "excluded by 'class:Dropout'"),
            ("ReLU", "3", "excluded by 'path:3'"),
        ]


def test_without_filters_nothing_was_left_out(python: Python) -> None:
    for one in run(python, AUTOINSTR_TARGETS="none"):
        assert one.excluded_classes == one.targets == []
