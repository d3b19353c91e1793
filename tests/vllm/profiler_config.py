"""Builds engine configurations, no engine: `python profiler_config.py MODEL`. Prints what became of
the profiler's, and the hashes."""

import json
import os
import sys

from vllm.config import ProfilerConfig
from vllm.engine.arg_utils import EngineArgs


def built(**options):
    config = EngineArgs(sys.argv[1], max_model_len=256, **options).create_engine_config()
    fields = {
        name: getattr(config.profiler_config, name)
        for name in ("profiler", "torch_profiler_dir", "delay_iterations", "wait_iterations")
    }
    return {**fields, "hash": config.compute_hash()}


def main():
    own = ProfilerConfig(delay_iterations=3)
    told = {
        "none": built(),
        "own object": built(profiler_config=own),
        "explicit": built(
            profiler_config=ProfilerConfig(profiler="torch", torch_profiler_dir="/explicit")
        ),
    }
    os.environ["VLLM_TORCH_PROFILER_DIR"] = "./mine"
    told["set late"] = built()
    told["own object afterwards"] = own.profiler
    print(json.dumps(told))


main()
