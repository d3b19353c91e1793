"""Runs tiny models of many architectures, each twice, and prints a digest of each output.

`truth` counts the calls of the second run by hooks.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers
from transformers import AutoConfig, AutoModel
from truth import Truth, digest

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)

TYPES = """
    bert gpt2 llama qwen2 qwen3 mistral gemma gemma2 phi phi3 opt bloom gpt_neox t5 bart mbart
    pegasus roberta albert electra distilbert deberta deberta-v2 mpnet convbert roformer mpt
    stablelm starcoder2 cohere olmo olmo2 granite mixtral vit deit beit dinov2 clip_vision_model
    siglip_vision_model whisper mamba fnet nystromformer rembert mobilebert layoutlm persimmon
    glm exaone4 rwkv olmoe gpt_bigcode biogpt umt5
"""
# Sizes by the names that the configurations give them.
SIZES = {
    0: "pad_token_id",
    1: "bos_token_id decoder_start_token_id",
    2: """eos_token_id num_hidden_layers num_attention_heads num_key_value_heads
          encoder_layers decoder_layers encoder_attention_heads decoder_attention_heads
          n_layer n_head num_layers num_heads n_layers n_heads""",
    8: "d_kv head_dim patch_size",
    16: "hidden_size d_model n_embd embedding_size dim",
    32: "intermediate_size encoder_ffn_dim decoder_ffn_dim d_ff hidden_dim image_size",
    64: "vocab_size max_position_embeddings n_positions",
}
SMALL = {name: size for size, names in SIZES.items() for name in names.split()}


def build(name: str):
    """A model with random weights, and its inputs."""
    kind = type(AutoConfig.for_model(name))
    config = kind(**{key: value for key, value in SMALL.items() if hasattr(kind(), key)})
    torch.manual_seed(0)
    model = AutoModel.from_config(config).eval()
    main = model.main_input_name
    inputs = {
        "input_ids": lambda: torch.arange(3, 19).reshape(2, 8),
        "pixel_values": lambda: torch.randn(1, 3, 32, 32),
        "input_features": lambda: torch.randn(
            1, config.num_mel_bins, 2 * config.max_source_positions
        ),
    }
    given = {main: inputs[main]()}
    if config.is_encoder_decoder:
        given["decoder_input_ids"] = (
            torch.arange(3, 11).reshape(1, 8).repeat(given[main].shape[0], 1)
        )
    return model, given


def main(how: str) -> None:
    truth = Truth()
    outputs, windows = {}, {}
    for name in TYPES.split():
        model, given = build(name)
        begin = time.perf_counter_ns()
        digests = []
        for hooked in (False, True):
            if hooked and how == "truth":
                truth.start(name)
            torch.manual_seed(1)
            with torch.no_grad():
                digests.append(digest(model(**given)))
            if hooked and how == "truth":
                truth.stop()
        assert digests[0] == digests[1], name
        outputs[name] = digests[0]
        windows[name] = (begin, time.perf_counter_ns())
    print(json.dumps({"outputs": outputs, "windows": windows, "counts": truth.table()}))


if __name__ == "__main__":
    main(sys.argv[1])
