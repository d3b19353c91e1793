"""Make a tiny random model of another architecture: `python architecture.py NAME TOKENIZER FOLDER`.

TOKENIZER is the folder of the tiny Qwen2, whose tokenizer files are copied."""

import shutil
import sys
from pathlib import Path

import torch
import transformers

SHARED = {
    "vocab_size": 512,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**SHARED),
    "moe": lambda: transformers.MixtralConfig(
        **SHARED, num_local_experts=4, num_experts_per_tok=2, sliding_window=None
    ),
}


def main() -> None:
    name, tokenizer, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(CONFIGS[name]())
    model.to(torch.bfloat16).save_pretrained(folder)
    for file in tokenizer.glob("tokenizer*"):
        shutil.copy(file, folder)


if __name__ == "__main__":
    main()
