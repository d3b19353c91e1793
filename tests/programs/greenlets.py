"""A program of greenlets, patched before torch. It ends when all of them are done."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import threading  # noqa: E402

import gevent  # noqa: E402
import torch  # noqa: E402
from gevent.pool import Pool  # noqa: E402
from torch import nn  # noqa: E402

torch.set_num_threads(1)
net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
done: list[float] = []


def work(number: int) -> None:
    for _ in range(3):
        done.append(net(torch.full((1, 2), float(number))).sum().item())
        gevent.sleep(0.01)


pool = Pool(3)
for number in range(5):
    pool.spawn(work, number)
pool.join(timeout=20)
thread = threading.Thread(target=work, args=(7,))  # a greenlet, too
thread.start()
thread.join()
print(len(done), gevent.wait(timeout=20))
