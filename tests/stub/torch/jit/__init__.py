from torch.jit import _trace
