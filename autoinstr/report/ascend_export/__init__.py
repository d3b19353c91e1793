"""Writes a recording, and a torch.profiler trace of the same process, as torch_npu's profiler would: folders with databases."""
