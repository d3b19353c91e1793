"""Ranges for every module call of an unedited PyTorch or vLLM program.

The gate imports this package in processes that may never need it: nothing may be imported here.
"""

__version__ = "0.1.0"
