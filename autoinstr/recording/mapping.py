"""A growing shared mapping of one file at one fixed address.

Address space for the maximum size is reserved once. The file is then allocated (posix_fallocate)
and mapped into it piece by piece, so one memoryview serves as long as the recording lives. Every
mapped page is allocated, because a store into a hole of a full disk kills the process with SIGBUS.
Nothing is ever unmapped: a call that still runs may store the end of its range at any later
time."""

from __future__ import annotations

import ctypes
import errno
import mmap
from typing import Callable

from autoinstr.base.system import call_without_signals, calls, read_file

_PROT_NONE = 0
_PROT_RW = mmap.PROT_READ | mmap.PROT_WRITE
_MAP_FIXED = 0x10  # the same value on Linux and macOS
_MAP_NORESERVE = 0x4000 if calls.uname().sysname == "Linux" else 0x40
_ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
_FAILED = ctypes.c_void_p(-1).value
_NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_ZEROS = bytes(1 << 16)

# PyDLL keeps the GIL, so no other thread stores while one file is mapped in place of another.
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
        raise OSError(number, "mmap: " + calls.strerror(number))
    return int(result)


class Mapping:
    """A file in memory. `words` is a memoryview of its unsigned 64-bit words.

    Only the first `allocated` bytes may be accessed."""

    def __init__(self, get_descriptor: Callable[[], int], max_bytes: int) -> None:
        """Reserve up to `max_bytes` of address space.

        If the process has a limit (RLIMIT_AS), reserve at most a sixteenth of what is left of it.
        `get_descriptor` returns a descriptor of the file. Raises OSError if nothing can be
        reserved."""
        self._get_descriptor = get_descriptor
        self.allocated = 0
        size = (
            -(
                -min(max_bytes, max(_find_address_space() >> 4, 1 << 20))
                // mmap.ALLOCATIONGRANULARITY
            )
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
        # Python converts an int to C's long from its digits, but to long long by way of bytes. To
        # use long saves a quarter of the time of a store.
        self.words = memory.cast("L") if ctypes.sizeof(ctypes.c_ulong) == 8 else memory.cast("Q")

    def extend(self, length: int) -> None:
        """Allocate and map `length` more bytes, rounded up to pages and bounded by `size`.

        Raises OSError if the disk is full or the size is reached. A signal handler may call this
        during another call. Then both allocate the same bytes, which is harmless."""
        start = self.allocated
        end = start + min(
            -(-length // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY, self.size - start
        )
        if end <= start:
            raise OSError(errno.EFBIG, "the recording has reached its largest size")
        fd = self._get_descriptor()
        _allocate(fd, start, end - start)
        _map(self._base + start, end - start, _PROT_RW, mmap.MAP_SHARED | _MAP_FIXED, fd, start)
        if self.allocated < end:
            self.allocated = end

    def move(self, get_descriptor: Callable[[], int]) -> None:
        """Copy the content to another, empty file, and let later stores go there.

        Raises OSError; then nothing has changed."""
        length, fd = self.allocated, get_descriptor()
        _allocate(fd, 0, length)
        new_address = _map(None, length, _PROT_RW, mmap.MAP_SHARED, fd, 0)
        try:
            copy = memoryview((ctypes.c_char * length).from_address(new_address)).cast("B")
            content = self.words.cast("B")[:length]
            copy[:] = content
            _map(self._base, length, _PROT_RW, mmap.MAP_SHARED | _MAP_FIXED, fd, 0)
        finally:
            _munmap(new_address, length)
        self._get_descriptor = get_descriptor

    def replace_with_private_memory(self) -> None:
        """Map private memory at the same addresses, in a child after fork.

        A call that began before the fork then ends without a store to the parent's file."""
        _map(self._base, self.size, _PROT_RW, _ANONYMOUS | _MAP_FIXED, -1, 0)


def _find_address_space() -> int:
    """Return how many bytes of address space the process may still reserve."""
    try:
        limits = read_file("/proc/self/limits").decode()
        line = next(line for line in limits.splitlines() if line.startswith("Max address space"))
        limit = line.split()[3]
        if limit == "unlimited":
            return 1 << 62
        return max(0, int(limit) - int(read_file("/proc/self/statm").split()[0]) * mmap.PAGESIZE)
    except (OSError, ValueError, StopIteration):  # the kernel refuses what is too much
        return 1 << 62


def _allocate(fd: int, offset: int, length: int) -> None:
    """Allocate blocks on disk. If the file system cannot do that, write zeros."""
    try:
        if hasattr(calls, "posix_fallocate"):
            call_without_signals(calls.posix_fallocate, fd, offset, length)
            return
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
    end = offset + length
    while offset < end:
        offset += call_without_signals(calls.pwrite, fd, _ZEROS[: end - offset], offset)
