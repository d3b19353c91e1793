"""Run a program of scenarios natively, under counting hooks and under the agent, and compare.

The programs are like tests/programs/scenarios.py.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

from autoinstr.recording.reader import RangeName
from tests.conftest import Python
from tests.programs import PROGRAMS
from tests.support.recorded import Range, assert_nested, counts, ranges, recordings

ANY_CALLS = {"any": -1}


def names(*programs: str) -> list[str]:
    """Return the scenarios of a program from its text, so that collection imports no torch."""
    nodes = [
        node
        for program in programs
        for node in ast.parse((PROGRAMS / program).read_text(encoding="utf-8")).body
    ]
    return [
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef)
        and any("scenario" in ast.dump(one) for one in node.decorator_list)
    ]


class Outcome:
    """The results of a program's three runs."""

    def __init__(self, python: Python, program: str, out: Path, **env: str) -> None:
        self.stderr: dict[str, str] = {}
        self.native, self.truth, self.agent = (
            self._run(python, program, how, out, env) for how in ("native", "truth", "agent")
        )
        self.ranges: list[Range] = []
        self.names: list[RangeName] = []  # all that the recording defines
        for one in recordings(out):
            if one.pid == self.agent["pid"]:
                self.ranges += ranges(one)
                self.names += one.names.values()

    def _run(
        self, python: Python, program: str, how: str, out: Path, env: dict[str, str]
    ) -> dict[str, Any]:
        environ = (
            {**env, "AUTOINSTR_OUT": str(out), "AUTOINSTR_TARGETS": "none"}
            if how == "agent"
            else env
        )
        done = python.run(
            PROGRAMS / program, how, on="1" if how == "agent" else None, env=environ, timeout=280
        )
        assert done.returncode == 0, done.stderr[-1500:]
        self.stderr[how] = done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def said(self, how: str, name: str) -> str:
        """Return a scenario's stderr, with times, process numbers and addresses made equal."""
        text = self.stderr[how].split(f"-- {name}\n", 1)[1].split("\n-- ", 1)[0]
        return re.sub(r"0x[0-9a-f]+|\[rank\d\]:.*|\b[IWE]\d{4} [\d:.]+|\b\d{4,7}\b", "…", text)

    def check(self, name: str) -> None:
        """Assert that the scenario gave the same natively and under the agent.

        Each of its calls must be a range.
        """
        ours, native = self.agent["results"][name], self.native["results"][name]
        assert ours == native, f"agent: {ours}\nnative: {native}"
        window = self.agent["windows"][name]
        found, expected = counts(self.ranges, window), self.truth["counts"].get(name, {})
        if expected != ANY_CALLS:
            wrong = {
                key: (found.get(key), expected.get(key))
                for key in {**found, **expected}
                if found.get(key) != expected.get(key)
            }
            assert not wrong, f"range -> (recorded, expected): {wrong}"
        assert_nested([one for one in self.ranges if window[0] <= one.start <= window[1]])
        assert self.said("agent", name) == self.said("native", name), (
            f"agent: {self.said('agent', name)}\nnative: {self.said('native', name)}"
        )
