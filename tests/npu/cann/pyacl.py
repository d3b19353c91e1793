"""acl.rt of pyACL, in $ASCEND_HOME_PATH/python/site-packages, where CANN has it: only what
vllm-ascend imports.

Simulated: memcpy. Not simulated: all else.
"""

from __future__ import annotations

import ctypes


def memcpy(to: int, size: int, source: int, n: int, kind: int) -> int:
    ctypes.memmove(to, source, n)
    return 0
