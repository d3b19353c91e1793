"""Measure what an agent costs, autoinstr's and others', in one run and one table: `make bench`.

docs/internals/benchmarks.md has the results.
"""
