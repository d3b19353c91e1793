"""The worker that trains, or computes the log-probabilities of the reference."""

from __future__ import annotations

import torch
from transformers import GPT2Config, GPT2LMHeadModel

CONFIG = {"n_layer": 1, "n_embd": 16, "n_head": 2, "vocab_size": 32, "n_positions": 32}


def make_model() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(**CONFIG, eos_token_id=None, bos_token_id=0))


class ActorRolloutRefWorker:
    def __init__(self) -> None:
        self.model = make_model()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def compute_ref_log_prob(self, tokens):
        with torch.no_grad():
            return self._log_prob(tokens)

    def update_actor(self, tokens, reference):
        self.optimizer.zero_grad()
        log_prob = self._log_prob(tokens)
        loss = (log_prob - reference).pow(2).mean() - log_prob.mean()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    async def update_weights(self, rollout):
        return await rollout.load_weights.remote(self.model.state_dict())

    def _log_prob(self, tokens):
        logits = self.model(tokens[:, :-1]).logits.log_softmax(-1)
        return logits.gather(-1, tokens[:, 1:, None]).squeeze(-1)
