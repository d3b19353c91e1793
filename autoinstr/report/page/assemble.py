"""Assemble one self-contained page: template, stylesheet, scripts and data in one file.

The page loads nothing. Its content security policy allows only its one script and its one
stylesheet, which it names by their hashes. So nothing in a recording can run. The data is JSON
without `<`, `>` and `&`, so no name in it can end its HTML element.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from hashlib import sha256
from html import escape
from string import Template
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The first scripts of every page.
COMMON_SCRIPTS = (
    "dom.js",
    "controls.js",
    "canvas.js",
    "format.js",
    "rows.js",
    "table_columns.js",
    "table_view.js",
    "table.js",
)
STYLES = (
    "colors.css",
    "page.css",
    "controls.css",
    "sections.css",
    "flame.css",
    "table.css",
    "lists.css",
)
ASSETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "assets")
_DATA_PLACEHOLDER = "\x00data\x00"  # no asset contains it
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def write(stream: TextIO, title: str, scripts: Sequence[str], payload: Mapping[str, Any]) -> None:
    """Write a page.

    `scripts` are files in `assets/`. They are joined in this order into one script, which finds
    `payload` as `data`. Memory: the text of one member of `payload` at a time.
    """
    style = "\n".join(map(read_asset, STYLES))
    script = "\n".join(["(() => {", '"use strict";', *map(read_asset, scripts), "})();"])
    page = Template(read_asset("template.html")).substitute(
        title=escape(title),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=_DATA_PLACEHOLDER,
    )
    head, _, tail = page.partition(_DATA_PLACEHOLDER)
    stream.write(head)
    separator = "{"
    for key, value in payload.items():
        stream.write(f"{separator}{encode_json(key)}:{encode_json(value)}")
        separator = ",\n"
    stream.write(("{" if separator == "{" else "") + "}")
    stream.write(tail)


def encode_json(value: object) -> str:
    """Return ASCII JSON that is safe inside an HTML element.

    Raise ValueError for infinity and NaN, which JSON does not have.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character, escape_sequence in _ESCAPES.items():
        text = text.replace(character, escape_sequence)
    return text


def read_asset(name: str) -> str:
    """Return the text of a file in `assets/`."""
    with open(os.path.join(ASSETS, name), encoding="utf-8") as stream:
        return stream.read()


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode("utf-8")).digest()).decode("ascii")
