"""Two ablations of one head's attention that are easily taken for each other (circuits.md, section b, Interventions).

- The *pattern* := 0, after the softmax: the head mixes nothing, z = 0. This is the seed study's "attention-score
  ablation", and zero ablation of z by another name.
- The *scores* := 0, before the softmax: the head attends alike to every token that the mask allows. Its weights still
  add up to 1, and z is a plain mean of its values.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.circuits.ablation import Replacement
from engine.circuits.runs import PromptRuns
from engine.models.protocols import TransformerModel

What = Literal["pattern", "scores"]


@torch.no_grad()
def uniform_z(
    model: TransformerModel,
    layer: int,
    residual: Float[Tensor, "batch pos d_model"],
    lengths: Int[Tensor, " batch"],
) -> Float[Tensor, "batch pos head d_head"]:
    """What heads mix when all scores are 0: the mean of the values up to a query where attention is causal, else of
    all the prompt's tokens (padding, which only the scores kept out, stays out)."""
    v = model.head_inputs(layer, [("v", head) for head in range(model.config.n_heads)], residual)
    exact = v.float()  # sums over many tokens, in half precision, would drop the last of them
    if model.config.attention == "causal":
        counts = torch.arange(1, v.shape[1] + 1, device=v.device)
        return (exact.cumsum(1) / counts[:, None, None]).to(v.dtype)
    real = (torch.arange(v.shape[1], device=v.device) < lengths[:, None])[:, :, None, None]
    mean = (exact * real).sum(1, keepdim=True) / lengths[:, None, None, None]
    return mean.to(v.dtype).expand_as(v)


class UniformAttention(PromptRuns):
    """Runs in which an ablated head attends alike to all it may see, instead of writing a fixed value."""

    def replacement(self, index: int) -> Replacement:
        """What heads would write with their scores at 0, on the clean prompts of chunk `index`."""
        chunk, cache = self.chunks[index], self.cache(index)
        layers = range(self.model.config.n_layers)
        z = torch.stack([uniform_z(self.model, layer, cache.resid_pre[layer], chunk.lengths) for layer in layers])
        return super().replacement(index)._replace(z=z)

    @property
    def replacement_words(self) -> str:
        return "the mean of the head's values, over the tokens that the query may see"


__all__ = ["UniformAttention", "What", "uniform_z"]
