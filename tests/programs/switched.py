"""when=manual: tells what is patched and which threads run, off, on and off again; the test gives
the commands through the control file.

Prints one line of JSON when it has started and one at the end of each wait for a change.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import warnings

warnings.simplefilter("always")
import torch  # noqa: E402
from nets import Net, X  # noqa: E402
from torch import nn  # noqa: E402

torch.set_num_threads(1)
net = Net()


def tell(**more: object) -> None:
    facts = {
        "torchs": nn.Module.__dict__["__call__"] is nn.Module._wrapped_call_impl,
        "python threads": threading.active_count(),
        "threads": len(os.listdir("/proc/self/task")),
        **more,
    }
    print(json.dumps(facts), flush=True)


def wait_for(torchs: bool) -> float:
    """Seconds until the switch is seen."""
    begin = time.monotonic()
    while (nn.Module.__dict__["__call__"] is nn.Module._wrapped_call_impl) != torchs:
        net(X)
        assert time.monotonic() < begin + 60, "never switched"
        time.sleep(0.01)
    return time.monotonic() - begin


net(X)
tell()
if sys.argv[1:] == ["follow"]:
    for torchs in (False, True, False):
        sys.stdin.readline()
        took = wait_for(torchs)
        for _ in range(5):
            net(X)
        tell(took=took)
    child = os.fork()
    if child == 0:
        time.sleep(0.5)
        before = os.listdir("/proc/self/task")
        net(X)
        tell(child=len(before))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    tell()
