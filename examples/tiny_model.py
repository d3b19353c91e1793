"""Create a tiny Qwen2 with random weights, for machines that cannot download a model.

Run: python tiny_model.py FOLDER
"""

from __future__ import annotations

import json
import os
import sys

LAYERS = 4
_BYTES = 256  # one token for each byte, after as many unused tokens


def make(folder: str) -> None:
    """Write config, weights and tokenizer to `folder`, unless it has them already.

    The weights are the same each time (seed 0).
    """
    config_file = os.path.join(folder, "tokenizer_config.json")  # written last
    if os.path.exists(config_file):
        return
    import torch
    from tokenizers import Tokenizer, decoders, models
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Config, Qwen2ForCausalLM

    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=2 * _BYTES,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,  # a head size of 32, the smallest of vLLM's attention on a CPU
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
    )
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    vocabulary = {f"<{number}>": number for number in range(_BYTES)}
    vocabulary.update(
        {
            character: _BYTES + number
            for number, character in enumerate(sorted(ByteLevel.alphabet()))
        }
    )
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<0>"))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    special = {"bos_token": "<1>", "eos_token": "<2>", "unk_token": "<0>"}
    with open(config_file + ".new", "w", encoding="utf-8") as stream:
        json.dump(
            {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **special},
            stream,
        )
    os.replace(config_file + ".new", config_file)


if __name__ == "__main__":
    make(sys.argv[1])
