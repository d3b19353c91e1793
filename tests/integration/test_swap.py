"""Test that the agent never overwrites another program's patch of Module.__call__, and loses no end
when it is switched during one."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Python
from tests.programs import PROGRAMS
from tests.support.recorded import assert_nested, ranges, the_recording


@pytest.mark.parametrize("durability", ["step", "range"])
def test_swapped_beside_other_patches_and_under_four_threads(
    python: Python, durability: str
) -> None:
    out = python.cwd / "out"
    done = python.run(
        PROGRAMS / "swapping.py",
        "2",
        env={"AUTOINSTR_OUT": str(out), "AUTOINSTR_DURABILITY": durability},
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["problems"] == []
    recording = the_recording(out)
    assert recording.is_complete
    assert_nested(ranges(recording))
    said = [line for line in done.stderr.splitlines() if line.startswith("autoinstr")]
    assert len(said) == 1, said
    assert "another program patched" in said[0]
