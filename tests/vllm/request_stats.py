"""An offline script that prints what vLLM says of each request: `python request_stats.py MODEL
--json`. Knows nothing of autoinstr."""

import argparse
import json

REQUESTS = (
    ("The capital of France is", 5),
    ("1 2 3 4 5", 17),
    ("To be, or not to be", 1),
    ("A layer costs", 9),
)


def main() -> None:
    from vllm import LLM, SamplingParams  # not above: tests import REQUESTS

    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seqs", type=int, default=1, help="requests in a batch")
    args = parser.parse_args()
    llm = LLM(
        args.model,
        max_model_len=256,
        max_num_seqs=args.seqs,
        kv_cache_memory_bytes=64 << 20,
        enforce_eager=True,
        seed=0,
        disable_log_stats=False,
    )
    sampling = [
        SamplingParams(temperature=0, max_tokens=count, ignore_eos=True) for _, count in REQUESTS
    ]
    answers = llm.generate([prompt for prompt, _ in REQUESTS], sampling, use_tqdm=False)
    requests = [
        {
            "id": one.request_id,
            "prompt_tokens": len(one.prompt_token_ids),
            "output_tokens": len(one.outputs[0].token_ids),
            "reason": one.outputs[0].finish_reason,
            "queued": one.metrics.queued_ts,
            "scheduled": one.metrics.scheduled_ts,
            "first_token": one.metrics.first_token_ts,
            "last_token": one.metrics.last_token_ts,
        }
        for one in answers
    ]
    print(
        json.dumps(
            {"tokens": [list(one.outputs[0].token_ids) for one in answers], "requests": requests}
        )
    )


if __name__ == "__main__":
    main()
