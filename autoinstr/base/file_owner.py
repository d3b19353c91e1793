"""Whose files are believed: in a folder that others can write to, what lies there may have been put
there by them."""

from __future__ import annotations

import os


def trusted(status: os.stat_result) -> bool:
    """It belongs to this user or to root: nobody else has put it there or can change its mode."""
    return status.st_uid in (os.geteuid(), 0)
