"""Generate text with SGLang offline on a CPU; its arguments are the model and true or false, for
overlap of scheduling and model. Prints tokens and calls of the model's layers as JSON."""

import json
import sys

TOKENS = 8
PROMPTS = ["The capital of France is", "1 2 3 4 5"]


def main() -> None:
    from sglang.srt.entrypoints.engine import Engine

    engine = Engine(
        model_path=sys.argv[1],
        device="cpu",
        dtype="float32",
        attention_backend="torch_native",
        sampling_backend="pytorch",
        grammar_backend="none",
        disable_cuda_graph=True,
        disable_overlap_schedule=sys.argv[2] == "false",
        max_total_tokens=2048,
        context_length=256,
        mem_fraction_static=0.1,
    )
    sampling = {"temperature": 0, "max_new_tokens": TOKENS, "ignore_eos": True}
    outputs = engine.generate(PROMPTS, sampling)
    print(json.dumps({"tokens": [output["output_ids"] for output in outputs]}), flush=True)
    engine.shutdown()


if __name__ == "__main__":
    main()
