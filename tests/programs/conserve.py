"""Calls modules in ways that hypothesis chooses: threads, copies, classes, sizes, own ranges.

After each example the recording must have recorded or dropped all calls of the process so far.
argv: the number of examples."""

from __future__ import annotations

import copy
import glob
import os
import sys
import threading
from collections import Counter

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import autoinstr
from autoinstr.recording.reader import Recording

torch.set_num_threads(1)
calls: list[str] = []  # an entry for each call, mark and attribute: appends need no lock


class Leaf(nn.Module):
    def forward(self, x):
        calls.append("range")
        return x


class Tree(nn.Module):
    """Its modules are `leaves` leaves in a list."""

    def __init__(self, leaves, cls=Leaf):
        super().__init__()
        self.leaves = nn.ModuleList(cls() for _ in range(leaves))

    def forward(self, x):
        calls.append("range")
        for leaf in self.leaves:
            x = leaf(x)
        return x


class OwnCall(Tree):
    def __call__(self, x):
        return super().__call__(x)


tree = Tree(3)


def copy_tree(size):
    copy.deepcopy(tree)(1)
    copied = copy.copy(tree)
    copied.leaves = nn.ModuleList(copy.copy(tree.leaves[0]) for _ in range(size))
    copied(1)


def make_class(size):
    made = type(f"Made{size}", (OwnCall if size % 2 else Tree,), {})
    made(size, type(f"Leaf{size}", (Leaf,), {}))(1)


def move(size):
    moved = Tree(size + 1)
    moved(1)
    moved.leaves[0], moved.leaves[size] = moved.leaves[size], Tree(1)
    moved(1)
    moved.__class__ = OwnCall
    moved(1)


def call_often(size):
    for _ in range(50 * size):
        tree(1)


def name_ranges(size):
    for number in range(size):
        text = f"{number} of {len(calls)}".ljust(50 * size, "x")
        with autoinstr.range(text) as running:
            running.note(text=text)
        autoinstr.mark("mark", text=text)
        calls.extend(("range", "attribute", "range", "attribute"))


def raise_within(size):
    def fail(x):
        calls.append("range")
        raise KeyError(x)

    leaf = Leaf()
    leaf.forward = fail
    try:
        nn.Sequential(leaf)(1)
    except KeyError:
        calls.append("range")  # the container's


WORKS = (copy_tree, make_class, move, call_often, name_ranges, raise_within)
THREADS = st.lists(
    st.lists(st.tuples(st.sampled_from(WORKS), st.integers(1, 12)), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)


def run(works):
    for work, size in works:
        work(size)


@settings(
    max_examples=int(sys.argv[1]), deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(THREADS)
def check(threads):
    started = [threading.Thread(target=run, args=(works,)) for works in threads]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    (file,) = glob.glob(os.path.join(os.environ["AUTOINSTR_OUT"], "*.airec"))
    recording = Recording(file)
    assert not recording.problems, recording.problems
    recorded = sum(len(words) // 3 for _, words in recording.read_blocks())
    attributes = sum(1 for _ in recording.read_attributes())
    given, dropped = Counter(calls), recording.dropped_count
    assert recorded + dropped == given["range"], (recorded, dropped, given)
    dropped = recording.dropped_attributes_count
    assert attributes + dropped == given["attribute"], (attributes, dropped, given)


check()
(file,) = glob.glob(os.path.join(os.environ["AUTOINSTR_OUT"], "*.airec"))
print(Recording(file).dropped_count > 0)
