"""Stands in for a server: calls its model until the file /tmp/stop is there, and says what it is
first."""

import os
import time

import torch


class Leaf(torch.nn.Module):
    def forward(self, x):
        return x + 1


leaf = Leaf()
try:
    os.close(os.open("/written", os.O_CREAT | os.O_WRONLY))
    written = True
except OSError:
    written = False
print("serving", os.getuid(), "HOME" in os.environ, written, flush=True)
end = time.monotonic() + 90
while not os.path.exists("/tmp/stop") and time.monotonic() < end:
    leaf(1)
    time.sleep(0.005)
