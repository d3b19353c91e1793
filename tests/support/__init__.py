"""Helpers of the tests: recordings made by hand, programs in subprocesses, readers of output
formats."""
