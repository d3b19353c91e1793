"""The speedscope report of a run in speedscope's own page, from file:// and without a network."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tests.integration.test_report_cli import report
from tests.support.annotated import Entry, write
from tests.support.browser import Watched, chromium
from tests.support.speedscope import release


def test_the_page_opens_on_the_busiest_profile_and_exports_the_same_calls(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write(
        str(run), [Entry(1_000, 90_000, "sched.schedule")], pid=1, header={"roles": ["EngineCore"]}
    )
    calls = [Entry(1_500, 80_000, "", None, 0, "Module", "range", "", "Model")]
    calls += [
        Entry(
            2_000 + 1_000 * at,
            2_400 + 1_000 * at,
            "",
            None,
            0,
            "Module",
            "range",
            f"layers.{at}",
            "Layer",
        )
        for at in range(9)
    ]
    write(
        str(run),
        [*calls, Entry(70_000, None, "stuck")],
        pid=2,
        header={"roles": ["Worker"]},
        close=False,
    )
    done = report(run, "--format", "speedscope")
    assert (done.returncode, done.stdout) == (0, b"")
    said = done.stderr.decode()
    assert f"wrote {run / 'report.speedscope.json'} (11 records, " in said
    assert (
        "autoinstr: 1 range has no end: shown up to the last time that the process recorded" in said
    )
    payload = (run / "report.speedscope.json").read_bytes()
    script = tmp_path / "load.js"  # what the command `speedscope FILE` writes for its page
    script.write_text(
        "speedscope.loadFileFromBase64("
        f"'report.speedscope.json', '{base64.b64encode(payload).decode()}')"
    )
    page_file = release() / "index.html"
    with chromium() as browser:
        watched = Watched(browser)
        watched.page.goto(f"file://{page_file}#localProfilePath={script}")
        watched.page.get_by_text("Worker, pid 2, thread-0, Module (2/3)").wait_for(timeout=20_000)
        with watched.page.expect_download() as download:
            watched.page.get_by_text("Export").click()
        exported = json.loads(Path(download.value.path()).read_text())
        errors = [line for line in watched.console if "GL Driver Message" not in line]
        assert not errors and all(address.startswith("file:") for address in watched.requests)
    ours = json.loads(payload)
    for mine, theirs in zip(ours["profiles"], exported["profiles"], strict=True):
        names = [[frame["name"] for frame in one["shared"]["frames"]] for one in (ours, exported)]
        start = mine["startValue"]
        assert [(e["type"], names[0][e["frame"]], e["at"] - start) for e in mine["events"]] == [
            (e["type"], names[1][e["frame"]], e["at"]) for e in theirs["events"]
        ]
        assert theirs["name"] == mine["name"]
