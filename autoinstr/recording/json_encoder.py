"""Encode definitions and attributes as JSON, with CPython's C encoder where it exists."""

from __future__ import annotations

import functools
import json
from json import encoder
from typing import Any

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)
_iterate_parts: Any = _JSON.encode
_make_encoder: Any = getattr(encoder, "c_make_encoder", None)
if _make_encoder is not None:  # without the checks in `encode`, it takes a third of the time
    _iterate_parts = functools.partial(
        _make_encoder(None, str, encoder.encode_basestring, None, ":", ",", False, False, True),
        _current_indent_level=0,
    )


def encode_json(value: Any) -> str:
    """Return compact JSON. An object that JSON has no type for becomes its text."""
    return "".join(_iterate_parts(value))
