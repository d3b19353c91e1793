"""Test that a forked child has its own recording and writes nothing into its parent's, even if the
fork happens during a module call."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Python
from tests.programs import PROGRAMS
from tests.support.recorded import assert_nested, counts, ranges, recordings

PARENT = {
    "Sequential||Sequential": 3,
    "Sequential|0|Leaf": 3,
    "Sequential|1|Forks": 3,
    "Sequential|2|Leaf": 3,
}
# The child finishes its parent's call: the leaf after the fork is a call of its own process, by a
# tree that it has not named yet.
CHILD = {"Child||Child": 2, "Child|leaf|Leaf": 2, "Sequential|2|Leaf": 1}


@pytest.mark.parametrize("busy", [(), ("busy",)])
@pytest.mark.parametrize("when", ["always", "manual"])
def test_each_process_writes_its_own(python: Python, busy: tuple[str, ...], when: str) -> None:
    out = python.cwd / "out"
    if when == "manual":
        out.mkdir()
        (out / "control").write_text("on\n")
    done = python.run(
        PROGRAMS / "forking.py", *busy, env={"AUTOINSTR_OUT": str(out), "AUTOINSTR_WHEN": when}
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert said["threads"] == 1
    assert said["open"] == [["Sequential", "Forks"]] * 3, (
        "a child wrote the end of its parent's range"
    )
    found = {one.pid: one for one in recordings(out)}
    parent = found.pop(said["pid"])
    assert parent.is_complete
    assert not parent.find_open_ranges()
    its = [one for one in ranges(parent) if one.cls != "Busy"]
    assert_nested(its)
    assert counts(its) == PARENT
    for pid in said["children"]:
        mine = ranges(found[pid])
        assert_nested(mine)
        assert counts(mine) == CHILD, pid
        assert all(one.start >= found[pid].clock_pairs[0][1] for one in mine), (
            "a range older than the process's recording"
        )
        assert not found[pid].find_open_ranges()
    grandchildren = [one for pid, one in found.items() if pid not in said["children"]]
    assert len(grandchildren) == 3
    for one in grandchildren:
        assert counts(ranges(one)) == {"Child||Child": 1, "Child|leaf|Leaf": 1}
    assert len({one.file for one in (parent, *found.values())}) == 7
