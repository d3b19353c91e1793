"""Run the test suites of other packages: each test has the same outcome with the agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.foreign.suites import Suite, fetch, rows, run
from tests.support.recorded import ranges, recordings

LEAST = 10  # passed tests, and calls of modules that we recorded; fewer show nothing


@pytest.mark.long
@pytest.mark.timeout(10_000)
@pytest.mark.parametrize("suite", rows(), ids=lambda suite: suite.package)
def test_each_test_ends_as_without_the_agent(suite: Suite, tmp_path: Path) -> None:
    tests = fetch(suite, tmp_path)
    outcomes = {}
    for name in ("native", "agent"):
        folder = tmp_path / name
        folder.mkdir()
        outcomes[name] = run(suite, tests, folder, agent=name == "agent")
    native, agent = outcomes["native"], outcomes["agent"]
    differ = {test for test in {*native, *agent} if native.get(test) != agent.get(test)}
    if differ:  # some suites draw random numbers, and fail now and then
        folder = tmp_path / "again"
        folder.mkdir()
        again = run(suite, tests, folder, agent=False)
        differ = {test for test in differ if again.get(test) != agent.get(test)}
    assert not differ, {test: (native.get(test), agent.get(test)) for test in differ}
    passed = sum(outcome == "passed" for outcome in agent.values())
    calls = sum(len(ranges(one)) for one in recordings(tmp_path / "agent" / "out"))
    print(f"{suite.package} {suite.version}: {len(agent)} tests, {passed} passed, {calls:,} ranges")
    assert passed >= LEAST, (tmp_path / "agent" / "log").read_text(errors="replace")[-3000:]
    assert calls >= LEAST, "the agent recorded nothing, so this shows nothing"
    assert not (tmp_path / "native" / "out").exists() and not recordings(
        tmp_path / "native" / "work" / "autoinstr-runs"
    )
