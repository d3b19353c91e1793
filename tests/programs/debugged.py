"""A model that is called four times; `result` is where a debugger stops."""

import json

import torch
from torch import nn


class Doubles(nn.Module):
    def forward(self, x):
        result = x * 2
        return result  # stop here


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Doubles(), Doubles()

    def forward(self, x):
        return self.second(self.first(x))


torch.set_num_threads(1)
net = Net()
print(json.dumps([net(torch.tensor([float(number)])).item() for number in range(4)]))
