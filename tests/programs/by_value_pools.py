"""Sends its own classes and functions to a worker of loky, and into a package of torch.package.

It uses each object before it sends it. Prints what came back."""

from __future__ import annotations

import sys

import torch
from joblib.externals.loky import get_reusable_executor
from torch import nn
from torch.package import PackageExporter, PackageImporter

import autoinstr

PACKAGED = """
import torch, autoinstr

class Net(torch.nn.Module):
    def __call__(self, *args, **kwargs):
        return super().__call__(*args, **kwargs) + 1

    def forward(self, x):
        return 2 * x

@autoinstr.range("load")
def load(count):
    return list(range(count))
"""
torch.manual_seed(0)
X = torch.ones(1, 2)


class Tripled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def __call__(self, *args, **kwargs):
        return super().__call__(*args, **kwargs) * 3

    def forward(self, x, bias=0):
        return self.layer(x) + bias


@autoinstr.range("apply")
def apply(net, x):
    return net(x, bias=1)


def use_all(net, function, bound):
    return [net(X).tolist(), function(net, X).tolist(), bound(X).tolist()], net


def send_to_loky():
    net = Tripled()
    values, _ = use_all(net, apply, net.__call__)
    with get_reusable_executor(max_workers=1) as pool:
        result = pool.submit(use_all, net, apply, net.__call__).result()
        returned = result[1]
        again = pool.submit(use_all, returned, apply, returned.__call__).result()
    print(values == result[0] == again[0], values)


def package():
    with open("packaged.py", "w") as file:
        file.write(PACKAGED)
    sys.path.insert(0, "")
    import packaged

    net = packaged.Net()
    print(net(X).tolist(), packaged.load(2))
    with PackageExporter("model.pt") as exporter:
        exporter.extern(["autoinstr.**", "autoinstr", "torch.**", "torch"])
        exporter.intern("packaged")
        exporter.save_pickle("objects", "objects.pkl", (net, packaged.load))
    importer = PackageImporter("model.pt")
    net, load = importer.load_pickle("objects", "objects.pkl")
    print(type(net).__module__ != "packaged", net(X).tolist(), net(X).tolist(), load(3))


if __name__ == "__main__":
    send_to_loky()
    package()
