"""The worker that makes the samples."""

from __future__ import annotations

from verl.workers.engine_workers import make_model


class AgentLoopWorker:
    def __init__(self) -> None:
        self.model = make_model().eval()

    async def generate_sequences(self, prompts):
        return self.model.generate(
            prompts, attention_mask=prompts * 0 + 1, max_new_tokens=4, do_sample=False
        )

    async def load_weights(self, weights):
        self.model.load_state_dict(weights)
        return len(weights)
