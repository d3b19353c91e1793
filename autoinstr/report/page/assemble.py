"""Puts one self-contained page together: the template, the stylesheet, scripts and the data, in one
file that loads nothing.

The page's own policy forbids everything but its one script and its one stylesheet, which it names
by their hashes: whatever a recording holds, it is data. The data is JSON in which no `<`, `>` or
`&` is left, so that no name can end its element."""

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

COMMON = ("dom.js", "format.js", "rows.js", "table.js")  # scripts that every page has first
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "assets")
_DATA = "\x00data\x00"  # stands for the data in the filled template: no asset holds it
_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def write(stream: TextIO, title: str, scripts: Sequence[str], payload: Mapping[str, Any]) -> None:
    """Write a page. `scripts` are files of this folder, joined in this order into one script;
    `payload` is what they find as `data`, of which one member at a time is held as text."""
    style = asset("page.css")
    script = "\n".join(["(() => {", '"use strict";', *map(asset, scripts), "})();"])
    page = Template(asset("template.html")).substitute(
        title=escape(title),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=_DATA,
    )
    head, _, tail = page.partition(_DATA)
    stream.write(head)
    separator = "{"
    for key, value in payload.items():
        stream.write(f"{separator}{embedded(key)}:{embedded(value)}")
        separator = ",\n"
    stream.write(("{" if separator == "{" else "") + "}")
    stream.write(tail)


def embedded(value: object) -> str:
    """A value as JSON that may stand inside an HTML element, in ASCII. ValueError for numbers that
    JSON does not have."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character, escaped in _UNSAFE.items():
        text = text.replace(character, escaped)
    return text


def asset(name: str) -> str:
    """The text of a file of this folder."""
    with open(os.path.join(HERE, name), encoding="utf-8") as stream:
        return stream.read()


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode("utf-8")).digest()).decode("ascii")
