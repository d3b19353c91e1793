"""Programs to which something bad happens while they call modules. Each prints what it computed as
one line of JSON, the same with and without the agent. argv: which, and the run directory (the
agent's, where it is on)."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from typing import Any, Callable

import torch
from nets import Net, X
from torch import nn
from truth import digest

torch.set_num_threads(1)
torch.manual_seed(0)


class Leaf(nn.Module):
    def forward(self, x):
        return x


def clock_set_back(out: str) -> Any:
    """jumping_clock.c sets the wall clock back by a year, again and again."""
    net = Net()
    times, results = [], []
    for _ in range(200):
        results.append(digest(net(X)))
        times.append(time.time())
    return {
        "results": sorted(set(results)),
        "jumped": any(later < earlier for earlier, later in zip(times, times[1:])),
    }


def folder_removed(out: str) -> Any:
    """The run directory is removed while ranges are written into it."""
    net = Net()
    first = digest(net(X))
    shutil.rmtree(out, ignore_errors=True)
    for _ in range(10_000):  # far beyond what was allocated
        net(X)
    threads = [threading.Thread(target=net, args=(X,)) for _ in range(4)]
    for thread in threads:
        thread.start()
        thread.join()
    child = os.fork()
    if child == 0:
        os._exit(0 if digest(net(X)) == first else 1)
    return [first == digest(net(X)), os.waitpid(child, 0)[1]]


def descriptors_closed(out: str) -> Any:
    """As a daemon does, the program closes all descriptors, and opens files of its own, which get
    the numbers of those."""
    net = Net()
    net(X)
    os.closerange(3, 1024)
    contents = [os.urandom(1 << 20) for _ in range(8)]
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        files = [
            stack.enter_context(open(os.path.join(folder, str(number)), "w+b"))
            for number in range(len(contents))
        ]
        numbers = [file.fileno() for file in files]
        for file, content in zip(files, contents):
            file.write(content)
            file.flush()
        for _ in range(10_000):  # far beyond what was allocated
            net(X)
        for file in files:
            file.seek(0)
        return [[file.read() == content for file, content in zip(files, contents)], 3 in numbers]


def no_more_files(out: str) -> Any:
    """RLIMIT_NOFILE is reached before the first range."""
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        errno = error.errno
    results = [digest(Net()(X)) for _ in range(3)]
    child = os.fork()
    if child == 0:
        Net()(X)
        os._exit(7)
    for one in held:
        os.close(one)
    return [
        errno,
        len(results),
        os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]),
        digest(Net()(X)) != "",
    ]


def no_more_memory(out: str) -> Any:
    """RLIMIT_AS leaves 100 MB, less than the address space that a recording likes to have, and the
    program needs 80 of them."""
    with open("/proc/self/statm", encoding="ascii") as stream:
        used = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20), resource.RLIM_INFINITY))
    net = Net()
    net(X)
    needed = bytearray(80 << 20)
    return [len(needed), [digest(net(X)) for _ in range(2_000)][-1]]


def signals(out: str) -> Any:
    """A signal every half millisecond; its handler calls modules, and raises now and then."""
    net, other = Net(), Net()
    seen = {"handled": 0, "raised": 0, "caught": 0, "wrong": 0}
    may_raise = False

    class Interrupted(Exception):
        pass

    def handler(number: int, frame: Any) -> None:
        seen["handled"] += 1
        other(X)
        # Armed anew each time: on a busy machine a handler takes longer than the interval, and
        # handlers within handlers end at the recursion limit, without the agent too.
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
        if may_raise and seen["handled"] % 3 == 0:
            seen["raised"] += 1
            raise Interrupted

    expected = digest(net(X))
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
    end = time.monotonic() + 3
    while time.monotonic() < end or seen["caught"] < 20:
        try:
            may_raise = True
            result = net(X)
            for _ in range(5):
                fresh = Leaf()  # one that has no name yet
                seen["wrong"] += fresh(result) is not result
            may_raise = False
            seen["wrong"] += digest(result) != expected
        except Interrupted:
            may_raise = False
            seen["caught"] += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    return {
        "wrong": seen["wrong"],
        "lost": seen["raised"] - seen["caught"],
        "busy": seen["caught"] >= 20,
    }


def forks_among_threads(out: str) -> Any:
    """Forks while threads hold every lock that there is in naming modules: each names new ones all
    the time."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            nn.Sequential(Leaf(), nn.Sequential(Leaf(), Leaf()))(X)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    statuses = set()
    for _ in range(60):
        child = os.fork()
        if child == 0:
            signal.alarm(30)  # a child that waits for a lock of its parent's is killed
            nn.Sequential(Leaf(), Leaf())(X)
            sys.stdout.flush()
            os._exit(3)
        statuses.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    stop.set()
    for thread in threads:
        thread.join()
    return sorted(statuses)


def thread_storm(out: str) -> Any:
    """Threads, up to 200 at a time, each of which calls a model once."""
    net, results = Net(), []
    expected = digest(net(X))
    for _ in range(int(os.environ.get("FAULTY_STORMS", "3"))):
        threads = [
            threading.Thread(target=lambda: results.append(digest(net(X)) == expected))
            for _ in range(200)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return [len(results), all(results)]


def many_modules(out: str) -> Any:
    """A tree of as many modules as the environment says."""
    count = int(os.environ.get("FAULTY_MODULES", "10000"))
    net = nn.Sequential(*(nn.Sequential(*(Leaf() for _ in range(99))) for _ in range(count // 100)))
    assert sum(1 for _ in net.modules()) == count + 1
    return [net(X) is X, net(X) is X]


def near_the_recursion_limit(out: str) -> Any:
    """Modules without a name yet are called at every distance from the recursion limit: whatever
    works natively works."""

    def down(depth: int, module: nn.Module) -> bool:
        return module(X) is X if not depth else down(depth - 1, module)

    limit, here = 300, len_of_stack()
    worked = {}
    sys.setrecursionlimit(here + limit)
    try:
        for left in range(100, 0, -1):
            try:
                worked[left] = down(limit - left, Leaf())
            except RecursionError:
                worked[left] = False
    finally:
        sys.setrecursionlimit(1000 + here)
    return [[left for left, well in worked.items() if not well], len(worked), digest(Net()(X))]


def len_of_stack() -> int:
    frame, length = sys._getframe(), 0
    while frame is not None:
        frame, length = frame.f_back, length + 1  # type: ignore[assignment]
    return length


def short_processes(out: str) -> Any:
    """As many children as the environment says, each with one call."""
    net, statuses = Net(), set()
    expected = digest(net(X))
    count = int(os.environ["FAULTY_PROCESSES"])
    for _ in range(count):
        child = os.fork()
        if child == 0:
            os._exit(5 if digest(net(X)) == expected else 1)
        statuses.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    return sorted(statuses)


def plain(out: str) -> Any:
    """Nothing bad but what the test has prepared."""
    net = Net()
    return [digest(net(X)) for _ in range(20)][-1]


def print_each(faults: list[str]) -> None:
    """Print what each of the faults prints, as JSON. Each has a fork for itself."""
    printed = {}
    for fault in faults:
        with tempfile.TemporaryFile("w+") as file:
            child = os.fork()
            if child == 0:
                os.dup2(file.fileno(), 1)
                print_result(fault, "nothing")
                sys.stdout.flush()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0, fault
            file.seek(0)
            printed[fault] = file.read()
    print(json.dumps(printed))


def print_result(fault: str, out: str) -> None:
    function: Callable[[str], Any] = globals()[fault]
    print(json.dumps(function(out)))


if __name__ == "__main__":
    if sys.argv[1] == "each":
        print_each(sys.argv[2:])
    else:
        print_result(sys.argv[1], sys.argv[2])
