"""How a choice is made: while training by the Gumbel-softmax, on average by the softmax, in the end by the argmax.

A choice turns logits into weights over the last axis that sum to one. Section 3 of the paper; Jang et al. 2017.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Choice = Callable[[Float[Tensor, "*rest options"]], Float[Tensor, "*rest options"]]


def gumbel(tau: float, generator: torch.Generator) -> Choice:
    """A relaxed sample: softmax((logits + Gumbel noise) / tau)."""

    def choose(logits: Float[Tensor, "*rest options"]) -> Float[Tensor, "*rest options"]:
        # Of a uniform number u, -log(-log(u)) is Gumbel noise.
        noise = torch.rand(logits.shape, generator=generator, dtype=logits.dtype).clamp_(min=1e-12)
        return torch.softmax((logits - noise.log_().neg_().log_()) / tau, dim=-1)

    return choose


def soft(tau: float) -> Choice:
    """Without noise: softmax(logits / tau)."""
    return lambda logits: torch.softmax(logits / tau, dim=-1)


def hard(logits: Float[Tensor, "*rest options"]) -> Float[Tensor, "*rest options"]:
    """One-hot at the largest; the first of equals."""
    chosen = logits.argmax(dim=-1, keepdim=True)
    return torch.zeros_like(logits).scatter_(-1, chosen, 1.0)


def temperature(done: float, first: float = 3.0, last: float = 0.01) -> float:
    """The temperature when the share `done` (0 to 1) of training is over, falling geometrically."""
    share = min(max(done, 0.0), 1.0)
    return float(first * (last / first) ** share)
