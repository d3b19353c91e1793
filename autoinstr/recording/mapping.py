"""A growing shared mapping of one file at one fixed address.

Address space for the largest size is reserved once; the file is then allocated (posix_fallocate)
and mapped into it piece by piece, so that one memoryview serves for the whole life of the recording
and no store can meet an unallocated page: a store into a hole of a full disk kills the process with
SIGBUS. The mapping is never unmapped: a call that is still running may end, and store its end, at
any later moment."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from typing import Any, Callable

_PROT_NONE = 0
_PROT_RW = mmap.PROT_READ | mmap.PROT_WRITE
_MAP_FIXED = 0x10  # the same value on Linux and macOS
_MAP_NORESERVE = 0x4000 if os.uname().sysname == "Linux" else 0x40
_ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
_FAILED = ctypes.c_void_p(-1).value
_NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_ZEROS = bytes(1 << 16)

# No other thread may store while a file is exchanged for another: PyDLL keeps the GIL.
_libc = ctypes.PyDLL(None, use_errno=True)
_mmap = _libc.mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int64,
]
_munmap = _libc.munmap
_munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def _map(
    address: int | None, length: int, protection: int, flags: int, fd: int, offset: int
) -> int:
    result = _mmap(address, length, protection, flags, fd, offset)
    if result == _FAILED or result is None:
        number = ctypes.get_errno()
        raise OSError(number, "mmap: " + os.strerror(number))
    return int(result)


class Mapping:
    """`words` is the file as a memoryview of unsigned 64-bit words; only the first `allocated`
    bytes may be touched."""

    def __init__(self, descriptor: Callable[[], int], max_bytes: int) -> None:
        """Reserve up to `max_bytes` of address space; where the process may not have as much as it
        likes (RLIMIT_AS), a sixteenth of what is left. `descriptor` gives one of the file. OSError
        if nothing can be had."""
        self.descriptor = descriptor
        self.allocated = 0
        size = (
            -(-min(max_bytes, max(_room() >> 4, 1 << 20)) // mmap.ALLOCATIONGRANULARITY)
            * mmap.ALLOCATIONGRANULARITY
        )
        while True:
            try:
                self._base = _map(None, size, _PROT_NONE, _ANONYMOUS, -1, 0)
                break
            except OSError:
                if size <= 1 << 20:
                    raise
                size >>= 1
        self.size = size
        memory = memoryview((ctypes.c_uint64 * (size // 8)).from_address(self._base)).cast("B")
        # Python stores an int as C's long by its digits, as long long by way of bytes: a quarter of
        # a store's time.
        self.words = memory.cast("L") if ctypes.sizeof(ctypes.c_ulong) == 8 else memory.cast("Q")

    def extend(self, length: int) -> None:
        """Allocate and map `length` more bytes (rounded up to pages, bounded by `size`). OSError
        when the disk is full or the size is reached. A signal handler may call this in the middle
        of a call: then both may allocate the same bytes, which does no harm."""
        start = self.allocated
        end = start + min(
            -(-length // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY, self.size - start
        )
        if end <= start:
            raise OSError(errno.EFBIG, "the recording has reached its largest size")
        fd = self.descriptor()
        _allocate(fd, start, end - start)
        _map(self._base + start, end - start, _PROT_RW, mmap.MAP_SHARED | _MAP_FIXED, fd, start)
        if self.allocated < end:
            self.allocated = end

    def move(self, descriptor: Callable[[], int]) -> None:
        """From here on stores go to another file, empty until now, which has all that the old one
        has. OSError; then all is as before."""
        length, fd = self.allocated, descriptor()
        _allocate(fd, 0, length)
        elsewhere = _map(None, length, _PROT_RW, mmap.MAP_SHARED, fd, 0)
        try:
            copy = memoryview((ctypes.c_char * length).from_address(elsewhere)).cast("B")
            old = self.words.cast("B")[:length]
            copy[:] = old
            _map(self._base, length, _PROT_RW, mmap.MAP_SHARED | _MAP_FIXED, fd, 0)
        finally:
            _munmap(elsewhere, length)
        self.descriptor = descriptor

    def replace_with_private_memory(self) -> None:
        """In a forked child: the same addresses, but memory of its own, so that a call begun before
        the fork ends without touching the parent's file."""
        _map(self._base, self.size, _PROT_RW, _ANONYMOUS | _MAP_FIXED, -1, 0)


def _room() -> int:
    """Bytes of address space that the process may still have."""
    resource: Any
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return 1 << 62
        with open("/proc/self/statm", "rb") as statm:
            return max(0, int(limit) - int(statm.read().split()[0]) * mmap.PAGESIZE)
    except (ImportError, OSError, ValueError):  # not Linux: the kernel says no where it must
        return 1 << 62


def _allocate(fd: int, offset: int, length: int) -> None:
    """Give the file blocks on disk. Where the file system cannot promise them, zeros are
    written."""
    fallocate = getattr(os, "posix_fallocate", None)
    if fallocate is not None:
        try:
            fallocate(fd, offset, length)
            return
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
    end = offset + length
    while offset < end:
        offset += os.pwrite(fd, _ZEROS[: end - offset], offset)
