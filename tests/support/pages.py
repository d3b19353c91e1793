"""Runs for page tests, written by the real writer, and the page of a run in a browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import REPO
from tests.support.annotated import Entry, mark, step_of, work_of, write
from tests.support.browser import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

SLOW = 1_000  # the steps of tests.support.annotated take 100 ns times this
LAYERS = 6
SLOW_LAYER = 4


def layers_of(start: int, lasted: int, layers: int = LAYERS) -> list[Entry]:
    """Return the calls below a model that starts at `start` and takes `lasted` ns.

    They are layers of an attention and an mlp; the layer SLOW_LAYER is slower.
    """
    each = lasted // (layers + 1)
    begun = start + layers * each
    entries = [
        Entry(begun, begun + each // 4, "head:Head", domain="Module", path="head", cls="Head")
    ]
    for layer in range(layers):
        begun = start + layer * each
        end = begun + each // 2 if layer != SLOW_LAYER else begun + each - 4
        path = f"model.layers.{layer}"
        entries.append(Entry(begun, end, f"{path}:Layer", domain="Module", path=path, cls="Layer"))
        middle = (begun + end) // 2
        entries.append(
            Entry(
                begun + 1,
                middle,
                f"{path}.attn:Attention",
                domain="Module",
                path=f"{path}.attn",
                cls="Attention",
            )
        )
        entries.append(
            Entry(
                middle + 1,
                end - 1,
                f"{path}.mlp:MLP",
                domain="Module",
                path=f"{path}.mlp",
                cls="MLP",
            )
        )
    return entries


def served(
    directory: Path, *, steps: int = 40, ranks: int = 2, requests: int = 8, layers: int = LAYERS
) -> None:
    """Write a run of a front end, an engine and workers.

    Every tenth step is a prefill and takes three times as long. Each rank is slower than the rank
    before it.
    """
    front: list[Entry] = []
    engine: list[Entry] = []
    works: list[list[Entry]] = [[] for _ in range(ranks)]
    now = 1_000_000
    every = max(1, steps // max(1, requests))
    for at in range(steps):
        prefill = at % 10 == 0
        slow = SLOW * (3 if prefill else 1) + 7 * at
        phase = "prefill" if prefill else "decode"
        engine += step_of(
            now, f"r{at % max(1, requests)}@{at}", phase, int(prefill), int(not prefill), slow=slow
        )
        for rank, work in enumerate(works):
            entries = work_of(now + 12 * slow, f"r{at % max(1, requests)}@{at}", phase, slow=slow)
            work += entries
            model = next(one for one in entries if one.cls)
            lasted = (model.end or 0) - model.start
            work += layers_of(model.start + 1, lasted * (8 + rank) // (8 + ranks), layers)
        if requests and at % every == 0 and at // every < requests:
            one = f"r{at // every}"
            front.append(mark(now - 900, "request.arrived", request=one, prompt_tokens=9))
            engine.append(mark(now - 500, "request.queued", request=one, prompt_tokens=9))
            engine.append(mark(now + 5, "request.scheduled", request=one, cached_tokens=0))
            engine.append(mark(now + 98 * slow, "request.first_token", request=one))
            front.append(mark(now + 99 * slow, "request.first_output", request=one))
            engine.append(
                mark(
                    now + 400 * slow,
                    "request.finished",
                    request=one,
                    reason="length" if at else "stop",
                    output_tokens=5,
                )
            )
            front.append(mark(now + 401 * slow, "request.completed", request=one))
        now += 110 * slow
    said = {
        "argv": ["python", "serve.py"],
        "versions": {"python": "3.11.7", "torch": "2.13.0", "vllm": "0.32.0"},
    }
    write(
        str(directory), front, pid=1, header={"roles": ["MainProcess"], **said}, max_bytes=1 << 30
    )
    write(
        str(directory), engine, pid=2, header={"roles": ["EngineCore"], **said}, max_bytes=1 << 30
    )
    for rank, work in enumerate(works):
        header = {"roles": ["Worker"], "rank": rank, "world_size": ranks, **said}
        in_order = sorted(work, key=lambda one: (one.start, -(one.end or 0)))
        write(str(directory), in_order, pid=10 + rank, header=header, max_bytes=1 << 30)


def page_of(directory: Path, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Write the page of a run with the command."""
    command = [
        sys.executable,
        "-m",
        "autoinstr",
        "report",
        str(directory),
        "--format",
        "html",
        "-o",
        str(file),
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=REPO)
    assert done.returncode == 0, done.stderr
    return done


def data_of(file: Path) -> dict[str, Any]:
    """Return the data in a page."""
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', file.read_text(), re.S
    )
    assert found is not None
    loaded: dict[str, Any] = json.loads(found.group(1))
    return loaded


def opened(browser: Browser, file: Path, **context: Any) -> Watched:
    """Open a page from its file. The browser is offline."""
    watched = Watched(
        browser, offline=True, **{"viewport": {"width": 1400, "height": 900}, **context}
    )
    watched.page.goto(file.as_uri())
    return watched


def quiet(watched: Watched) -> None:
    """Assert that the page requested only its own file and logged no error or warning."""
    assert watched.console == []
    assert (
        all(url.startswith("file://") for url in watched.requests) and len(watched.requests) == 1
    ), watched.requests


def names(table: Locator) -> list[str]:
    """Return the first cell of each visible row."""
    found: list[str] = table.locator("tbody tr[data-row] td:first-child").all_inner_texts()
    return found


def axe(page: Page) -> list[str]:
    """Return the violations that axe-core finds in the page: rule and element.

    Skip where npm cannot install it."""
    script = REPO / ".venv-node" / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        said = REPO / ".venv-node" / "unavailable"
        pytest.skip(
            said.read_text().strip() if said.exists() else "no axe-core: run requirements/node.sh"
        )
    page.evaluate(script.read_text() + "; undefined")
    found = page.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)"
    )
    return [
        f"{one['id']}: {node['html'][:160]} ({node['failureSummary'][:300]})"
        for one in found
        for node in one["nodes"]
    ]
