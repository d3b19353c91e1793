"""Check the owner of a file. In a folder that others can write to, a file may be someone else's."""

from __future__ import annotations

import os

from autoinstr.base.system import calls


def is_trusted(status: os.stat_result) -> bool:
    """Return whether the file belongs to this user or to root.

    Then nobody else put it there, and nobody else can change its mode."""
    return status.st_uid in (calls.geteuid(), 0)
