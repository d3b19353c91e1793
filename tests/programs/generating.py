"""Generate tokens with a tiny transformers model, and call modules whose `forward` does its work
later.

`python generating.py greedy|beams|lazy` prints what the program got, as JSON."""

import asyncio
import json
import sys

import torch
from torch import nn

PROMPT, NEW = 7, 5


def make_model() -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=64, n_positions=64, n_embd=16, n_layer=2, n_head=2)
    return GPT2LMHeadModel(config).eval()


def generate(**options) -> list:
    model = make_model()
    prompt = torch.arange(PROMPT).unsqueeze(0)
    settings = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, **options}
    output = model.generate(prompt, max_new_tokens=NEW, **settings)
    return output.tolist()


class Stream(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        for _ in range(3):
            x = self.layer(x)
            yield x


class Later(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    async def forward(self, x):
        await asyncio.sleep(0)
        return self.layer(x)


class Many(Stream):
    """Without a forward of its own, and under a decorator of torch."""

    forward = torch.no_grad()(Stream.forward)


def run_lazy() -> list:
    x = torch.ones(1, 4)
    shapes = [list(y.shape) for module in (Stream(), Many()) for y in module(x)]
    return [*shapes, list(asyncio.run(Later()(x)).shape)]


def main() -> None:
    programs = {"greedy": generate, "beams": lambda: generate(num_beams=2), "lazy": run_lazy}
    print(json.dumps({name: programs[name]() for name in sys.argv[1:]}))


if __name__ == "__main__":
    main()
