"""A small model, called here and in children: `beside.py [script] [code] [spawn] [fork]`. What it
prints is the same each time; which processes there were, and how often each called, goes into the
file that PIDS names. torch may be the stand-in of tests/stub."""

import json
import multiprocessing
import os
import subprocess
import sys

import torch


class Doubles(torch.nn.Module):
    def forward(self, x):
        result = x * 2
        return result  # stop here


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Doubles(), Doubles()

    def forward(self, x):
        return self.second(self.first(x))


def call(times):
    """Call the model, and say which process did."""
    net = Net()
    if os.environ.get("PIDS"):
        with open(os.environ["PIDS"], "a") as stream:
            stream.write(f"{os.getpid()} {times}\n")
    return [net(number) for number in range(times)]


def in_a_child(way):
    """What calling it twice gives in a child."""
    if way in ("script", "code"):
        here = os.path.dirname(os.path.abspath(__file__))
        code = f"import sys; sys.path.insert(0, {here!r}); import beside; beside.child()"
        command = [__file__, "child"] if way == "script" else ["-c", code]
        return json.loads(
            subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, check=True).stdout
        )
    context = multiprocessing.get_context(way)
    mine, its = context.Pipe()
    process = context.Process(target=send, args=(its,))
    process.start()
    found = mine.recv()
    process.join()
    return [*found, process.exitcode]


def send(connection):
    connection.send(call(2))


def child():
    print(json.dumps(call(2)))


if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        child()
    else:
        print(json.dumps([call(3), *map(in_a_child, sys.argv[1:])]))
        sys.stderr.write("said\n")
        sys.exit(3)
