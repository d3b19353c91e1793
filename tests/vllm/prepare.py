"""Make what the engines of a session share: `python prepare.py FOLDER`, with VLLM_CACHE_ROOT set.

FOLDER/model is the tiny model. FOLDER/two_layers has two layers, the fewest with a part between two
calls of attention. VLLM_CACHE_ROOT/modelinfos has what vLLM finds out about its
class. Without it each engine with an empty cache starts a process that imports vLLM again."""

import sys

from vllm.model_executor.models import registry

from examples import tiny_model


def main() -> None:
    tiny_model.make(sys.argv[1] + "/model")
    tiny_model.LAYERS = 2
    tiny_model.make(sys.argv[1] + "/two_layers")
    # vLLM inspects the class in a subprocess, so that CUDA stays untouched. There is none here.
    registry._run_in_subprocess = lambda inspect: inspect()
    registry.ModelRegistry.models["Qwen2ForCausalLM"].inspect_model_cls()


if __name__ == "__main__":
    main()
