"""Generate text with vLLM offline, without any use of autoinstr.

Run: python offline_vllm.py MODEL
"""

import argparse
import json
import time

from vllm import LLM, SamplingParams

PROMPTS = ["The capital of France is", "1 2 3 4 5", "To be, or not to be", "A layer costs"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--eager", action="store_true", help="do not let vLLM compile the model")
    parser.add_argument("--json", action="store_true", help="print token ids")
    args = parser.parse_args()
    llm = LLM(
        args.model,
        max_model_len=256,
        max_num_seqs=8,
        kv_cache_memory_bytes=64 << 20,
        enforce_eager=args.eager,
        seed=0,
    )
    sampling = SamplingParams(temperature=0, max_tokens=args.tokens, ignore_eos=True)
    start = time.perf_counter()
    outputs = llm.generate(PROMPTS, sampling, use_tqdm=False)
    seconds = time.perf_counter() - start
    tokens = [list(output.outputs[0].token_ids) for output in outputs]
    if args.json:
        print(json.dumps({"tokens": tokens, "seconds": seconds}))
    else:
        print(f"{sum(map(len, tokens))} tokens for {len(PROMPTS)} prompts in {seconds:.2f} s")


if __name__ == "__main__":
    main()
