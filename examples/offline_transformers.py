"""Generate text with transformers, without any use of autoinstr.

Run: python offline_transformers.py MODEL
"""

import argparse
import time

from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = ["The capital of France is", "1 2 3 4 5", "To be, or not to be", "A layer costs"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=32)
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model)
    start = time.perf_counter()
    count = 0
    for prompt in PROMPTS:
        tokens = tokenizer(prompt, return_tensors="pt")["input_ids"]
        output = model.generate(
            tokens, do_sample=False, max_new_tokens=args.tokens, min_new_tokens=args.tokens
        )
        count += output.shape[1] - tokens.shape[1]
    print(f"{count} tokens for {len(PROMPTS)} prompts in {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
