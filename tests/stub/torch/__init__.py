"""A stand-in for torch where no torch can be installed: the call protocol of nn.Module, no tensors.
What is proved with it: that the agent starts, patches, records and ends in this interpreter. What
is not: anything of torch's own."""

from torch import autograd, jit, nn

__version__ = "0.0.stub"
