"""Reads the time of day below Python: time_machine changes Python's C functions themselves."""

from __future__ import annotations

import ctypes

_CLOCK_REALTIME = 0


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


_clock_gettime = ctypes.PyDLL(None).clock_gettime
_clock_gettime.argtypes = [ctypes.c_int, ctypes.POINTER(_Timespec)]


def read_wall_clock_ns() -> int:
    """Return nanoseconds since 1970."""
    time = _Timespec()
    _clock_gettime(_CLOCK_REALTIME, ctypes.byref(time))
    return int(time.seconds) * 10**9 + int(time.nanoseconds)
