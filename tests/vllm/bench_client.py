"""vLLM's own benchmark client, `vllm bench serve`: its command line, without the command that looks
for a distribution called vllm."""

import argparse

from vllm.benchmarks import serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    serve.add_cli_args(parser)
    serve.main(parser.parse_args())
