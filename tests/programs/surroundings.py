"""Programs in surroundings that are hostile to a recorder: each prints what natively is printed.

The first argument names the situation, the second a file of the program. They run with the stand-in
for torch as well as with torch."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from typing import Any, Callable
from unittest import mock


def make_net() -> Any:
    """Import torch here: some situations come before the import."""
    from torch import nn

    class Net(nn.Module):
        def forward(self, x: int) -> int:
            return x

    return Net()


def call(net: Any, count: int = 5) -> None:
    for _ in range(count):
        net(1)


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def count_calls(path: str) -> None:
    """A test that asserts how often functions are called."""
    net = make_net()
    names = ("open", "mkdir", "stat", "lstat", "getpid", "urandom", "listdir", "write", "close")
    with mock.patch("builtins.open") as opened, mock.patch("time.time_ns", return_value=7) as clock:
        with mock.patch.multiple(os, **dict.fromkeys(names, mock.DEFAULT)) as mocks:
            call(net)
            counts = {name: mocks[name].call_count for name in names}
        print(counts, opened.call_count, clock.call_count)
    call(net)


def fake_files(path: str) -> None:
    """A fake file system gives out numbers of its own, which mean other files to the system."""
    net = make_net()
    kept = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(kept, b"precious")
    with mock.patch.object(os, "open", return_value=kept), mock.patch.object(os, "mkdir"):
        call(net)
    call(net, 20_000)
    os.close(kept)
    print(read(path))


def frozen_clock(path: str) -> None:
    """A frozen clock replaces the functions of time wherever a module has them."""
    net = make_net()
    originals = (time.time, time.time_ns, time.perf_counter_ns, time.monotonic)
    for module in [m for m in sys.modules.values() if type(m) is type(sys)]:
        for name, function in list(vars(module).items()):
            if any(function is original for original in originals):
                setattr(module, name, lambda: 0)
    call(net)
    print(time.time_ns(), time.perf_counter_ns())


def reused_stderr(path: str) -> None:
    """A daemon by hand closes descriptor 2, and its next file gets the number."""
    net = make_net()
    os.close(2)
    data = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(data, b"payload ")
    call(net)
    os.write(data, b"end")
    print(data, read(path))


def closed_stderr(path: str) -> None:
    """The process has no stderr, and C code writes to it."""
    net = make_net()
    os.close(2)
    call(net)
    try:
        os.write(2, b"from C")
    except OSError as error:
        print(error.strerror)
    call(net)


def closed_all(path: str) -> None:
    """A daemon closes all descriptors but stdout."""
    net = make_net()
    call(net, 2)
    os.closerange(2, 256)
    os.close(0)
    call(net, 20_000)
    print(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def small_files(path: str) -> None:
    """Files may have 4 KB, and the signal has its default action or a handler."""
    net = make_net()
    seen: list[int] = []
    signal.signal(signal.SIGXFSZ, lambda number, frame: seen.append(number))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    call(net)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    call(net, 20_000)
    print(seen)


def gone_reader(path: str) -> None:
    """The reader of stderr has gone, and SIGPIPE has its default action."""
    net = make_net()
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.close(writer)
    os.close(reader)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    call(net)
    print("done")


def own_modules(path: str) -> None:
    """Modules of the program have names of libraries that it does not import."""
    net = make_net()
    call(net)
    ours = os.path.dirname(os.path.abspath(path))
    files = (getattr(module, "__file__", None) or "" for module in list(sys.modules.values()))
    print(sorted(os.path.basename(file) for file in files if file.startswith(ours)))


def own_torch(path: str) -> None:
    """The program's own module is called torch."""
    import torch

    print(torch.light)


def other_user(path: str) -> None:
    """A server works as another user than the one who started it."""
    import encodings.ascii  # noqa: F401

    net = make_net()
    os.seteuid(65534)
    call(net)
    print(os.geteuid())


SITUATIONS: dict[str, Callable[[str], None]] = {
    function.__name__: function
    for function in (
        count_calls,
        fake_files,
        frozen_clock,
        reused_stderr,
        closed_stderr,
        closed_all,
        small_files,
        gone_reader,
        own_modules,
        own_torch,
        other_user,
    )
}

if __name__ == "__main__":
    SITUATIONS[sys.argv[1]](sys.argv[2])
