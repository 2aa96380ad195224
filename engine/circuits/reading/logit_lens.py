"""The logit lens: what the model would answer if it stopped at a layer (nostalgebraist 2020; circuits.md, Logit lens).

LN_final(x) W_U of the residual stream x before every layer, and of the final one, which gives the model's own logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.circuits.metrics import Targets, accuracy, logit_difference
from engine.circuits.runs import at_positions
from engine.models.protocols import Cache, TransformerModel

FINAL = "final"


class Stage(NamedTuple):
    """Where the residual stream is read: before layer `layer`, or after its attention; `n_layers` is the end."""

    layer: int
    mid: bool = False

    def label(self, n_layers: int) -> str:
        if self.layer == n_layers:
            return FINAL
        return f"after L{self.layer} attention" if self.mid else f"before L{self.layer}"

    @property
    def depth(self) -> float:
        """How many layers have been passed."""
        return self.layer + 0.5 * self.mid


def stages(n_layers: int, *, after_attention: bool = False) -> tuple[Stage, ...]:
    """Before every layer (and after its attention), and the end."""
    each = (False, True) if after_attention else (False,)
    return (*(Stage(layer, mid) for layer in range(n_layers) for mid in each), Stage(n_layers))


def residual_at(model: TransformerModel, cache: Cache, stage: Stage) -> Float[Tensor, "batch pos d_model"]:
    """The residual stream there, of a clean pass."""
    before = cache.resid_pre[stage.layer]
    return before + model.attention_output(stage.layer, cache.z[stage.layer]) if stage.mid else before


class Lens(NamedTuple):
    """What is read at one stage, at each place."""

    top: Int[Tensor, "*place top"]
    top_probability: Float[Tensor, "*place top"]
    rank: Float[Tensor, "*place"]  # of the target, 1 is the likeliest; several targets: of the likeliest of them
    logit: Float[Tensor, "*place"]  # several targets: the mean of theirs
    probability: Float[Tensor, "*place"]  # several targets: that any of them comes
    entropy: Float[Tensor, "*place"]  # nats
    kl: Float[Tensor, "*place"]  # KL(final || here), nats


def read(
    logits: Float[Tensor, "*place vocab"],
    final: Float[Tensor, "*place vocab"],
    targets: Int[Tensor, "*place target"],
    top: int,
) -> Lens:
    """Targets of -1 are none; where a place has none, rank, logit and probability are NaN."""
    log_p, log_final = logits.log_softmax(-1), final.log_softmax(-1)
    p = log_p.exp()
    likeliest = p.topk(min(top, p.shape[-1]), -1)
    there = targets >= 0
    none = ~there.any(-1)
    own = logits.gather(-1, targets.clamp(min=0))
    best = own.masked_fill(~there, -torch.inf).amax(-1)
    rank = (logits > best[..., None]).sum(-1) + 1.0
    logit = own.masked_fill(~there, 0).sum(-1) / there.sum(-1).clamp(min=1)
    probability = p.gather(-1, targets.clamp(min=0)).masked_fill(~there, 0).sum(-1)
    return Lens(
        top=likeliest.indices,
        top_probability=likeliest.values,
        rank=rank.masked_fill(none, torch.nan),
        logit=logit.masked_fill(none, torch.nan),
        probability=probability.masked_fill(none, torch.nan),
        entropy=-(p * log_p).sum(-1),
        kl=(log_final.exp() * (log_final - log_p)).sum(-1),
    )


def lens(
    model: TransformerModel, cache: Cache, where: Sequence[Stage], targets: Int[Tensor, "1 pos target"], *, top: int = 5
) -> tuple[Lens, ...]:
    """Every stage at every position of one prompt, on the CPU. A few positions are unembedded at once."""
    length, vocab = targets.shape[1], model.config.logits
    few = max(1, 2**24 // vocab)
    residuals = [residual_at(model, cache, stage) for stage in where]
    parts: list[list[Lens]] = [[] for _ in where]
    for start in range(0, length, few):
        here = slice(start, start + few)
        final = model.unembed(cache.resid_pre[-1][:1, here]).float()[0]
        wanted = targets[0, here].to(final.device)
        for stage, x, known in zip(where, residuals, parts):
            logits = final if stage.layer == model.config.n_layers else model.unembed(x[:1, here]).float()[0]
            known.append(read(logits, final, wanted, top))
    return tuple(Lens(*(torch.cat(values).cpu() for values in zip(*known))) for known in parts)


MEASURES = ("rank", "logit", "probability", "entropy", "kl", "accuracy", "logit_diff")


def at_answers(
    model: TransformerModel,
    cache: Cache,
    where: Sequence[Stage],
    at: Int[Tensor, "batch k"],
    targets: Targets,
) -> Float[Tensor, "batch stage measure"]:
    """The measures at the scored positions, averaged over an example's; `logit_diff` is NaN without foils."""
    final = model.unembed(at_positions(cache.resid_pre[-1], at)).float()
    wanted = targets.answers.expand(*at.shape, -1)
    found = []
    for stage in where:
        logits = model.unembed(at_positions(residual_at(model, cache, stage), at)).float()
        one = read(logits, final, wanted, 1)
        measured = [part.mean(-1) for part in (one.rank, one.logit, one.probability, one.entropy, one.kl)]
        measured.append(accuracy(logits, targets))
        nothing = torch.full_like(measured[0], torch.nan)
        measured.append(nothing if targets.foils is None else logit_difference(logits, targets))
        found.append(torch.stack(measured, -1))
    return torch.stack(found, 1).cpu().double()


__all__ = ["FINAL", "MEASURES", "Lens", "Stage", "at_answers", "lens", "read", "residual_at", "stages"]
