"""The offline script of the vLLM-Ascend profiling guide, without an edit for profiling tools:
`python ascend_guide.py [MODEL]`.

It sets VLLM_TORCH_PROFILER_DIR after the import of vLLM, as the guide does. vLLM 0.16 and later
ignore the variable; autoinstr makes it work. docs/zh/ascend.md goes through the guide."""

import argparse
import json
import os

from vllm import LLM, SamplingParams

os.environ.setdefault("VLLM_TORCH_PROFILER_DIR", "./vllm_profile")

PROMPTS = [
    "Hello, my name is",
    "The president of the United States is",
    "The capital of France is",
    "The future of AI is",
]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", default="Qwen/Qwen2.5-0.5B-Instruct")
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON: arguments of LLM()")
    args = parser.parse_args()
    llm = LLM(model=args.model, **args.settings)
    llm.start_profile()
    outputs = llm.generate(PROMPTS, SamplingParams(temperature=0.8, top_p=0.95))
    llm.stop_profile()
    for output in outputs:
        print(f"Prompt: {output.prompt!r}, generated: {output.outputs[0].text!r}")


if __name__ == "__main__":
    main()
