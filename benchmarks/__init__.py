"""`make bench`: what an agent costs, ours and everybody else's, in one run and one table
(docs/internals/benchmarks.md)."""
