"""A model going on with a text, token by token. Every token is a whole pass over what is there: keys and values are not
kept, so this is for tens of tokens, not for thousands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from engine.models.transformer import Transformer


@torch.no_grad()
def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    *,
    tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
    rows: int = 64,
    before: Callable[[int], None] = lambda done: None,
) -> list[list[int]]:
    """What follows each prompt, `tokens` token ids each; a prompt's continuation ends early after the tokenizer's
    end-of-text token, which is given with it.

    Temperature 0 takes the likeliest token (of equals the first). Else tokens are drawn by the Gumbel maximum, with a
    generator per prompt made from the seed and the prompt's number: the same draws whatever the size of a batch, and
    for two models asked alike. `before` is told, before every pass, how many prompts are done.
    """
    end: int | None = getattr(model.tokenizer, "eos_id", None)
    made: list[list[int]] = []
    for start in range(0, len(prompts), rows):
        chunk = prompts[start : start + rows]
        draws = [np.random.default_rng([seed, start + i]) for i in range(len(chunk))]
        lengths = torch.tensor([len(ids) for ids in chunk])
        batch = torch.zeros(len(chunk), int(lengths.max()) + tokens, dtype=torch.long)
        for i, ids in enumerate(chunk):
            batch[i, : len(ids)] = torch.tensor(ids)
        following: list[list[int]] = [[] for _ in chunk]
        ended = [False] * len(chunk)
        for now in range(tokens):
            if all(ended):
                break
            before(start)
            at = (lengths + now - 1)[:, None]
            # Attention is causal: what stands after a row's last token changes nothing at it.
            final = model.continue_from(0, model.embed(batch[:, : int(at.max()) + 1]), at=at)
            logits = model.unembed(final)[:, 0].float().cpu()
            if temperature > 0:
                noise = np.stack([draw.gumbel(size=logits.shape[1]) for draw in draws])
                logits = logits / temperature + torch.from_numpy(noise).float()
            chosen = logits.argmax(-1)
            batch[torch.arange(len(chunk)), at[:, 0] + 1] = chosen
            for i, token in enumerate(chosen.tolist()):
                if not ended[i]:
                    following[i].append(token)
                    ended[i] = token == end
        made += following
    return made
