"""Recognise profiles by their files, and load them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from autoinstr.device.kineto.loader import load_trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoinstr.device.profile_store import ProfileStore

_TRACE_SUFFIXES = (".json", ".json.gz", ".json.gzip")
_BEGINNINGS = (b"{", b"\x1f\x8b", b"\xef\xbb\xbf{")


def is_trace(path: str) -> bool:
    """Return whether a file may be a trace of torch.profiler: its begin says so."""
    try:
        with open(path, "rb") as stream:
            begin = stream.read(64).lstrip()
    except OSError:
        return False
    return begin.startswith(_BEGINNINGS) or (
        path.endswith(_TRACE_SUFFIXES) and os.path.isfile(path)
    )


def load_profile(path: str, tick: Callable[[int], None]) -> ProfileStore:
    """Return the rows of a profile."""
    return load_trace(path, tick)
