"""An unedited program under the bundle: modules, a coroutine that the configuration names, modules
of its own called report and config."""

import asyncio
import json
import os
import sys

import config
import hostapp
import report
import torch


class Leaf(torch.nn.Module):
    def forward(self, x):
        return x + 1


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = Leaf()
        self.b = Leaf()

    def forward(self, x):
        return self.b(self.a(x))


print(
    Net()(1),
    asyncio.run(hostapp.fetch(3)),
    report.mine,
    config.mine,
    os.getuid(),
    os.environ.get("HOME"),
)
files = {
    name: getattr(sys.modules.get(name), "__file__", None)
    for name in ("autoinstr", "wrapt", "structlog", "tomli")
}
if os.path.exists("facts.wanted"):
    with open("facts.json", "w") as stream:
        json.dump(
            {
                "files": files,
                "path": sys.path,
                "wrapt": getattr(sys.modules.get("wrapt"), "__version__", None),
            },
            stream,
        )
