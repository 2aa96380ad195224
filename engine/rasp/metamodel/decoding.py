"""Writing programs for weights: greedily, by beam search, or by sampling. The weights are read once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from engine.rasp.metamodel.architecture import Metamodel
from engine.rasp.sampling.tokens import BOS, EOS, VOCABULARY

BEGIN, END, PAD = VOCABULARY.ids[BOS], VOCABULARY.ids[EOS], 0


class Written(NamedTuple):
    """A token sequence, BOS to EOS where it came to an end, and its log-probability (at temperature 1)."""

    tokens: tuple[int, ...]
    log_probability: float

    @property
    def ended(self) -> bool:
        return self.tokens[-1] == END


@torch.inference_mode()
def greedy(model: Metamodel, weights: Float[Tensor, "batch pieces d"], most: int | None = None) -> list[Written]:
    """The likeliest token every time, for every row. `most`: tokens at most (default: as many as the model takes)."""
    return _rolled(model, weights, most, 0.0, None)


@torch.inference_mode()
def sample(
    model: Metamodel,
    weights: Float[Tensor, "1 pieces d"],
    candidates: int,
    temperature: float,
    generator: torch.Generator,
    most: int | None = None,
) -> list[Written]:
    """Programs for one model, drawn token by token: each different one once, the likeliest first."""
    drawn = _rolled(model, weights, most, temperature, generator, candidates)
    unique = {written.tokens: written for written in drawn}
    return sorted(unique.values(), key=lambda written: -written.log_probability)


def _rolled(
    model: Metamodel,
    weights: Float[Tensor, "batch pieces d"],
    most: int | None,
    temperature: float,
    generator: torch.Generator | None,
    copies: int = 1,
) -> list[Written]:
    model.eval()
    cache = model.read(weights)
    rows = len(weights) * copies
    if copies > 1:
        cache = cache.rows(torch.arange(len(weights), device=weights.device).repeat_interleave(copies))
    tokens = torch.full((rows, 1), BEGIN, device=weights.device)
    score = torch.zeros(rows, device=weights.device)
    open_ = torch.ones(rows, dtype=torch.bool, device=weights.device)
    for _ in range((most or model.size.r) - 1):
        logits, cache = model.write(tokens[:, -1:], cache)
        chances = logits[:, -1].float().log_softmax(dim=-1)
        if temperature > 0:
            drawn = (chances / temperature).softmax(dim=-1).cpu()
            following = torch.multinomial(drawn, 1, generator=generator).to(tokens.device)
        else:
            following = chances.argmax(dim=-1, keepdim=True)
        score += torch.where(open_, chances.gather(1, following)[:, 0], 0.0)
        following = torch.where(open_[:, None], following, PAD)
        tokens = torch.cat([tokens, following], dim=1)
        open_ &= following[:, 0] != END
        if not open_.any():
            break
    return [Written(_cut(row), s) for row, s in zip(tokens.tolist(), score.tolist())]


def _cut(row: list[int]) -> tuple[int, ...]:
    return tuple(row[: row.index(END) + 1] if END in row else row)


@torch.inference_mode()
def beam(
    model: Metamodel, weights: Float[Tensor, "batch pieces d"], width: int, most: int | None = None
) -> list[list[Written]]:
    """For every row the `width` likeliest whole sequences that beam search finds, the likeliest first. What has not
    ended within `most` tokens comes last."""
    model.eval()
    batch, device = len(weights), weights.device
    first = torch.arange(batch, device=device)
    cache = model.read(weights).rows(first.repeat_interleave(width))
    tokens = torch.full((batch * width, 1), BEGIN, device=device)
    # at the beginning the beams of a row are alike: only the first counts
    score = torch.full((batch, width), -torch.inf, device=device)
    score[:, 0] = 0.0
    ended = torch.zeros(batch, width, dtype=torch.bool, device=device)
    for _ in range((most or model.size.r) - 1):
        logits, cache = model.write(tokens[:, -1:], cache)
        chances = logits[:, -1].float().log_softmax(dim=-1).view(batch, width, -1)
        # a sequence that has ended goes on with PAD alone, at no cost
        nothing = torch.full_like(chances, -torch.inf)
        nothing[..., PAD] = 0.0
        totals = (score[..., None] + torch.where(ended[..., None], nothing, chances)).flatten(1)
        score, best = totals.topk(width, dim=1)
        beams, following = best // chances.shape[-1], best % chances.shape[-1]
        rows = (first[:, None] * width + beams).flatten()
        cache = cache.rows(rows)
        tokens = torch.cat([tokens[rows], following.flatten()[:, None]], dim=1)
        ended = ended.gather(1, beams) | (following == END)
        if ended.all():
            break
    found: list[list[Written]] = []
    for row in range(batch):
        some = [
            Written(_cut(tokens[row * width + i].tolist()), float(score[row, i]))
            for i in range(width)
            if torch.isfinite(score[row, i])
        ]
        found.append(sorted(some, key=lambda written: (not written.ended, -written.log_probability)))
    return found
