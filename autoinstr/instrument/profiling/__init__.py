"""Control of profilers: their parameters from outside, vLLM's own profiler without a flag, its start and stop in every process, capture."""
