"""An offline script that profiles as the guides print it: `python profile_script.py MODEL [PROFILER
CONFIG AS JSON]`.

The variable is set after vLLM has been imported. Prints what each call said, the token ids and the
number of KV-cache blocks."""

import json
import os
import sys

from vllm import LLM, SamplingParams

os.environ["VLLM_TORCH_PROFILER_DIR"] = "./vllm_profile"


def main() -> None:
    # Compiled, so that there is a warm-up; not by inductor, which takes half a minute.
    options = {
        "max_model_len": 256,
        "max_num_seqs": 8,
        "kv_cache_memory_bytes": 64 << 20,
        "seed": 0,
    }
    options["compilation_config"] = {"backend": "eager"}
    if len(sys.argv) > 2:
        options["profiler_config"] = json.loads(sys.argv[2])
    llm = LLM(sys.argv[1], **options)
    sampling = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)
    said, tokens = [], []

    def say(call, *args, **kwargs):
        try:
            call(*args, **kwargs)
            said.append("ok")
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")

    def generate(prompt):
        tokens.extend(
            list(output.outputs[0].token_ids)
            for output in llm.generate([prompt], sampling, use_tqdm=False)
        )

    generate("before")
    say(llm.start_profile)
    generate("To be")
    say(llm.stop_profile)
    say(llm.stop_profile)
    generate("between")
    say(llm.start_profile, "later")
    say(llm.start_profile)
    generate("or not")
    say(llm.stop_profile)
    blocks = llm.llm_engine.vllm_config.cache_config.num_gpu_blocks
    print(json.dumps({"said": said, "tokens": tokens, "blocks": blocks}))


main() if __name__ == "__main__" else None
