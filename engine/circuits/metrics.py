"""How well a model answers: the numbers every circuit is judged by, over the logits at the scored positions.

Every metric is averaged over an example's scored positions first and over examples second, and is available per
example (circuits.md, section b, Metrics).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Targets(NamedTuple):
    """What the logits are compared with. Token ids index the last axis of the logits that a metric is given.

    `answers` and `foils` may hold several alternatives per position (a greater-than prompt accepts many years);
    `-1` fills a row that has fewer.
    """

    answers: Int[Tensor, "batch k answer"]
    foils: Int[Tensor, "batch k foil"] | None
    clean: Float[Tensor, "batch k vocab"] | None = None  # log-probabilities of the unablated model, for KL
    clean_logits: Float[Tensor, "batch k vocab"] | None = None  # its logits, for L2


Function = Callable[[Tensor, Targets], Tensor]


@dataclass(frozen=True)
class Metric:
    """One metric. `function` maps logits [*variant batch k vocab] and targets to values [*variant batch]."""

    name: str
    title: str
    unit: str
    higher_is_better: bool
    function: Function
    needs_foils: bool = False
    needs_clean: bool = False
    needs_answers: bool = True
    needs_vocabulary: bool = True  # False: the answers' and foils' columns of the unembedding are enough

    def performance(self, value: float) -> float:
        """The value turned so that higher is better."""
        return value if self.higher_is_better else -value

    @property
    def direction(self) -> str:
        return "higher is better" if self.higher_is_better else "lower is better"


def _gathered(
    logits: Float[Tensor, "*variant batch k vocab"], tokens: Int[Tensor, "batch k token"], fill: float
) -> Float[Tensor, "*variant batch k token"]:
    index = tokens.clamp(min=0).expand(*logits.shape[:-1], tokens.shape[-1])
    return torch.where(tokens >= 0, logits.gather(-1, index), torch.full((), fill, dtype=logits.dtype))


def logit_difference(
    logits: Float[Tensor, "*variant batch k vocab"], targets: Targets
) -> Float[Tensor, "*variant batch"]:
    """Logit of the answer minus logit of the foil. With several of either, the difference of their means."""
    if targets.foils is None:
        raise ValueError("the logit difference needs foils")

    def mean(tokens: Tensor) -> Tensor:
        return _gathered(logits, tokens, 0.0).sum(-1) / (tokens >= 0).sum(-1).clamp(min=1)

    return (mean(targets.answers) - mean(targets.foils)).mean(-1)


def lead_over_best_foil(
    logits: Float[Tensor, "*variant batch k vocab"], targets: Targets
) -> Float[Tensor, "*variant batch"]:
    """Logit of the best answer minus that of the best foil: the docstring task's measure (Heimersheim, Janiak 2023)."""
    if targets.foils is None:
        raise ValueError("the lead over the best foil needs foils")
    best, rival = (_gathered(logits, tokens, float("-inf")).amax(-1) for tokens in (targets.answers, targets.foils))
    return (best - rival).mean(-1)


def loss(logits: Float[Tensor, "*variant batch k vocab"], targets: Targets) -> Float[Tensor, "*variant batch"]:
    """-log p(answer) in nats; with several answers, of the probability that any of them comes."""
    answer = _gathered(logits, targets.answers, float("-inf")).logsumexp(-1)
    return (logits.logsumexp(-1) - answer).mean(-1)


def accuracy(logits: Float[Tensor, "*variant batch k vocab"], targets: Targets) -> Float[Tensor, "*variant batch"]:
    """1 where the largest logit of the whole vocabulary belongs to an answer, else 0."""
    best = logits.argmax(-1)
    hit = (best.unsqueeze(-1) == targets.answers).any(-1)
    return hit.to(logits.dtype).mean(-1)


def kl_from_clean(logits: Float[Tensor, "*variant batch k vocab"], targets: Targets) -> Float[Tensor, "*variant batch"]:
    """KL(full model || ablated model) of the next-token distributions, in nats."""
    if targets.clean is None:
        raise ValueError("the KL divergence needs the clean model's log-probabilities")
    full = targets.clean
    divergence = (full.exp() * (full - logits.log_softmax(-1))).sum(-1)
    return divergence.mean(-1)


def squared_change(
    logits: Float[Tensor, "*variant batch k vocab"], targets: Targets
) -> Float[Tensor, "*variant batch"]:
    """Squared distance of the logits from the unablated model's: the loss of compiled programs (Conmy et al. 2023)."""
    if targets.clean_logits is None:
        raise ValueError("the squared change needs the clean model's logits")
    return (logits - targets.clean_logits).square().sum(-1).mean(-1)


def probability_difference(
    logits: Float[Tensor, "*variant batch k vocab"], targets: Targets
) -> Float[Tensor, "*variant batch"]:
    """p(any answer) - p(any foil): for greater-than, p(YY' > YY) - p(YY' <= YY) (Hanna et al. 2023)."""
    if targets.foils is None:
        raise ValueError("the probability difference needs foils")
    p = logits.softmax(-1)
    difference = _gathered(p, targets.answers, 0.0).sum(-1) - _gathered(p, targets.foils, 0.0).sum(-1)
    return difference.mean(-1)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="logit_diff",
            title="logit difference, answer - foil",
            unit="logits",
            higher_is_better=True,
            function=logit_difference,
            needs_foils=True,
            needs_vocabulary=False,
        ),
        Metric(
            name="logit_diff_max",
            title="logit difference, best answer - best foil",
            unit="logits",
            higher_is_better=True,
            function=lead_over_best_foil,
            needs_foils=True,
            needs_vocabulary=False,
        ),
        Metric(name="loss", title="loss, -log p(answer)", unit="nats", higher_is_better=False, function=loss),
        Metric(
            name="accuracy",
            title="accuracy, argmax over the vocabulary",
            unit="fraction",
            higher_is_better=True,
            function=accuracy,
        ),
        Metric(
            name="kl",
            title="KL(full || ablated)",
            unit="nats",
            higher_is_better=False,
            function=kl_from_clean,
            needs_clean=True,
            needs_answers=False,
        ),
        Metric(
            name="l2",
            title="squared change of the logits",
            unit="logits^2",
            higher_is_better=False,
            function=squared_change,
            needs_clean=True,
            needs_answers=False,
        ),
        Metric(
            name="prob_diff",
            title="probability difference, answers - foils",
            unit="probability",
            higher_is_better=True,
            function=probability_difference,
            needs_foils=True,
        ),
    )
}


class Interval(NamedTuple):
    """The least and the greatest value the metric can have, per example, if logits are only known to within a slack."""

    low: Float[Tensor, "*variant batch"]
    high: Float[Tensor, "*variant batch"]


def within_slack(
    metric: Metric, logits: Float[Tensor, "*variant batch k vocab"], targets: Targets, slack: float
) -> Interval:
    """Bounds on the metric when every logit may be off by `slack`.

    Rounding depends on the shape of a batch, so a decision is safe only when it is the same at both bounds. Every
    smooth metric here moves by at most twice the slack: its gradient over the logits has an L1 norm of at most 2. An
    example's accuracy flips only where answer and rival are closer than that. The squared change moves by what the
    binomial formula says.
    """
    if metric.name == "l2":
        value, clean = metric.function(logits, targets), targets.clean_logits
        assert clean is not None
        off = (2 * slack * (logits - clean).abs() + slack**2).sum(-1).mean(-1)
        return Interval(value - off, value + off)
    if metric.name != "accuracy":
        value = metric.function(logits, targets)
        return Interval(value - 2 * slack, value + 2 * slack)
    answer = _gathered(logits, targets.answers, float("-inf")).amax(-1)
    index = targets.answers.clamp(min=0).expand(*logits.shape[:-1], targets.answers.shape[-1])
    present = (targets.answers >= 0).to(logits.dtype).expand_as(index)
    own = torch.zeros_like(logits).scatter_reduce_(-1, index, present, "amax") > 0
    rival = logits.masked_fill(own, float("-inf")).amax(-1)
    lead = answer - rival
    return Interval(
        (lead > 2 * slack).to(logits.dtype).mean(-1),
        (lead >= -2 * slack).to(logits.dtype).mean(-1),
    )


__all__ = ["METRICS", "Interval", "Metric", "Targets", "within_slack"]
