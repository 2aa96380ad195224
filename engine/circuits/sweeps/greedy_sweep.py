"""The greedy attention-head sweep (the seed study, section 5.3): remove every head that the metric does not miss.

    ablated = {};  for each layer, first to last:  base = metric(ablated), once, at the layer's start
        for each head of the layer, first to last:  remove it for good if base - metric(ablated + head) <= theta

The base is renewed with each layer only, so the loss on the prompts that select is at most about layers x theta, and
unbounded on others: prompts held out of all decisions are measured after every removal, and others again may judge each
removal before it counts (`verdicts`). Layers may also be taken from the last to the first.

Heads are tried in chains that guess that each is removed; the chain counts up to its first wrong guess. A guess changes
no decision: where rounding could, the head is measured again alone. The same holds for screening in another number
format (`screening`), whose error is measured on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.circuits.bootstrap import PairedBootstrap
from engine.circuits.runs import PromptRuns
from engine.circuits.sweeps.screening import SAFETY
from engine.circuits.sweeps.verdicts import Base, Criterion, Outcome, Threshold
from engine.circuits.sweeps.walk import Known, Order, Walk
from engine.models.protocols import TransformerModel
from sessions.components import Head

BOTH_FORMATS_EVERY = 8  # decisions, when screening


class Decision(msgspec.Struct, frozen=True):
    """One line of the log. Metric values are as the metric gives them; `drop` is turned so that more is worse."""

    layer: int
    head: int
    base: float  # what the drop is counted from, on the prompts that select
    value: float  # with this head removed too
    drop: float
    removed: bool
    alone: bool = False  # too close for rounding, or screened and too close for that: measured again by itself, exactly
    held_out: float | None = None  # after a removal, on the prompts held out
    low: float | None = None  # the interval of that, from the paired change against the full model
    high: float | None = None
    allowed: float | None = None  # the greatest drop that would still remove it
    judge_drop: float | None = None  # on the prompts that judge, if the others would remove it
    judge_high: float | None = None  # the upper end of its interval: removed only if that is allowed
    judge_allowed: float | None = None
    screened: bool = False  # the numbers are of the screening format
    error: float | None = None  # of the screening, where both formats were measured: mean size over the prompts
    judge_error: float | None = None  # the same on the prompts that judge, or the interval's if that is more

    @property
    def component(self) -> Head:
        return Head(self.layer, self.head)

    @property
    def margin(self) -> float:
        """How far from the allowance the decision was made, on the prompts that made it."""
        margin = abs(self.drop - (self.allowed or 0.0))
        if self.judge_high is not None and self.judge_allowed is not None:
            judged = abs(self.judge_high - self.judge_allowed)
            return min(margin, judged) if self.removed else judged
        return margin


class Judge(NamedTuple):
    """Prompts of which a removal must not cost too much either, whatever sample of them one had."""

    runs: PromptRuns
    bootstrap: PairedBootstrap  # made for its examples


class _Tried(NamedTuple):
    outcome: Outcome
    alone: bool
    error: float | None


class _Split:
    """Prompts that decide."""

    def __init__(self, walk: Walk, criterion: Criterion, base: Base) -> None:
        self.walk, self.criterion, self.base = walk, criterion, base
        self.reference = walk.base
        # Of accuracy the least error there can be is one prompt's: that none was seen is no proof.
        self._error = 1 / walk.runs.size if criterion.metric.name == "accuracy" else 1e-9

    def saw(self, error: float | None) -> None:
        """An error of the screening."""
        self._error = max(self._error, error or 0.0)

    def renew(self, removed: Tensor) -> None:
        """What a drop is counted from, before a chain."""
        if self.criterion.threshold == "fixed":
            self.reference = self.walk.runs.clean
        elif self.base == "layer" or not removed.any():
            self.reference = self.walk.base
        else:
            self.reference = self.walk.values(removed[None])[0]

    def tried(self, stages: Bool[Tensor, "stage head"], forced: Sequence[bool], *, screen: bool) -> Iterator[_Tried]:
        """One stage after the other, up to the first that does not pass; those `forced` are done exactly anyway."""
        walk, rule = self.walk, self.criterion
        moving = self.base == "previous" and rule.threshold != "fixed"
        if screen:
            new = Known.exactly(walk.roughly(stages))
        else:
            new = Known.exactly(walk.values(stages)) if len(stages) == 1 else walk.bounds(stages)
        reference = Known.exactly(self.reference)
        for step in range(len(stages)):
            now, error = new.of(step), None
            if screen:
                outcome, safe = rule.within_error(now.value, reference.value, SAFETY * self._error)
                safe = safe and not forced[step]
            else:
                outcome, safe = rule.within(now, reference)
            if not safe:
                rough, now = now, Known.exactly(walk.values(stages[step : step + 1])[0])
                before = walk.values(stages[step - 1 : step])[0] if moving and step else self.reference
                exact = rule.outcome(now.value, before)
                if screen:  # the mean size of an example's error bounds that of the mean, which may be small by chance
                    typical = _distance(rough.value, now.value) + _distance(reference.value, before)
                    error = max(typical, abs(exact.judged - outcome.judged))
                outcome = exact
            yield _Tried(outcome, not safe, error)
            if not outcome.passes:
                return
            if moving:
                reference = now


def _distance(one: Float[Tensor, " example"], other: Float[Tensor, " example"]) -> float:
    return float((one.double() - other.double()).abs().mean())


def greedy_sweep(
    select: PromptRuns,
    held_out: PromptRuns | None,
    *,
    theta: float,
    threshold: Threshold = "absolute",
    base: Base = "layer",
    order: Order = "bottom_up",
    judge: Judge | None = None,
    chain: int = 8,
    rows: int = 1024,
    bootstrap: PairedBootstrap | None = None,
    through: TransformerModel | None = None,
    decided: Sequence[Decision] = (),
) -> Iterator[tuple[Decision, ...]]:
    """The decisions in order, one chain at a time; `decided` are those of an earlier, interrupted run, not made again.

    `theta` is the greatest drop of the metric that still removes a head (in the metric's unit, or as a part of its
    value; a rise always removes). `chain` is the most heads tried at once, 1 for the plain algorithm; `rows` the most
    prompts x heads in one batch. `bootstrap` must be made for the held-out examples. Intervals are absent without it.
    `through` is a copy of the model in another number format, which screens.
    """
    c = select.model.config
    metric = select.metric
    splits = [_Split(Walk(select, rows, order, through), Criterion(metric, theta, threshold), base)]
    if judge is not None:
        criterion = Criterion(metric, theta, threshold, judge.bootstrap)
        splits.append(_Split(Walk(judge.runs, rows, order, through), criterion, base))
    aside = None if held_out is None else Walk(held_out, rows, order, through)
    walks = [split.walk for split in splits] + ([aside] if aside is not None else [])
    log = list(decided)
    _learn(splits, log)
    layers = range(c.n_layers) if order == "bottom_up" else range(c.n_layers - 1, -1, -1)
    for place, layer in enumerate(layers):
        removed = torch.zeros(c.n_heads, dtype=torch.bool, device=select.model.device)
        for decision in log[place * c.n_heads : (place + 1) * c.n_heads]:
            removed[decision.head] = decision.removed
        while len(log) < (place + 1) * c.n_heads:
            first = len(log) - place * c.n_heads
            length = min(chain, 1 + _run_of_removals(log), c.n_heads - first)
            forced = [
                not place or not (first + step) or (len(log) + step) % BOTH_FORMATS_EVERY == 0 for step in range(length)
            ]
            made = _decide(splits, layer, removed, first, forced, screen=through is not None)
            if aside is not None:
                made = _with_held_out(aside, removed, made, bootstrap)
            for decision in made:
                removed[decision.head] = decision.removed
            log.extend(made)
            _learn(splits, made)
            yield tuple(made)
        if place < c.n_layers - 1:
            for walk in walks:
                walk.move(removed)


def _learn(splits: Sequence[_Split], made: Sequence[Decision]) -> None:
    """The errors of the screening, from the log alone, so that a resumed run trusts it as far as an undisturbed one."""
    for decision in made:
        for split, error in zip(splits, (decision.error, decision.judge_error)):
            split.saw(error)


def _run_of_removals(log: Sequence[Decision]) -> int:
    """How many of the last decisions in a row were removals: what is worth guessing next. Known from the log alone, so
    a resumed run tries the same chains."""
    count = 0
    for decision in reversed(log):
        if not decision.removed:
            break
        count += 1
    return count


def _stages(removed: Tensor, heads: Sequence[int]) -> Bool[Tensor, "stage head"]:
    """One head gone, then two, then three."""
    stages = removed.repeat(len(heads), 1)
    for step, head in enumerate(heads):
        stages[step:, head] = True
    return stages


def _decide(
    splits: Sequence[_Split], layer: int, removed: Tensor, first: int, forced: Sequence[bool], *, screen: bool
) -> list[Decision]:
    stages = _stages(removed, range(first, first + len(forced)))
    for split in splits:
        split.renew(removed)
    selected = list(splits[0].tried(stages, forced, screen=screen))
    passed = sum(tried.outcome.passes for tried in selected)
    judged: list[_Tried] = []
    if len(splits) > 1 and passed:
        judged = list(splits[1].tried(stages[:passed], forced, screen=screen))
    made: list[Decision] = []
    for step, (outcome, alone, error) in enumerate(selected):
        other = judged[step] if step < len(judged) else None
        gone = outcome.passes and (len(splits) == 1 or (other is not None and other.outcome.passes))
        decision = Decision(
            layer=layer,
            head=first + step,
            base=outcome.reference,
            value=outcome.value,
            drop=outcome.drop,
            removed=gone,
            alone=alone or (other is not None and other.alone),
            allowed=outcome.allowed,
            screened=screen and not (alone and (other is None or other.alone)),
            error=error,
        )
        if other is not None:
            decision = msgspec.structs.replace(
                decision,
                judge_drop=other.outcome.drop,
                judge_high=other.outcome.judged,
                judge_allowed=other.outcome.allowed,
                judge_error=other.error,
            )
        made.append(decision)
        if not gone:
            break
    return made


def _with_held_out(
    walk: Walk, removed: Tensor, made: list[Decision], bootstrap: PairedBootstrap | None
) -> list[Decision]:
    gone = [decision.head for decision in made if decision.removed]
    if not gone:
        return made
    stages = _stages(removed, gone)
    values = (walk.values(stages) if walk.through is None else walk.roughly(stages)).double().cpu()
    full = walk.runs.clean.double().cpu()
    result = []
    for decision in made:
        if decision.removed:
            now = values[gone.index(decision.head)]
            change = None if bootstrap is None else bootstrap.interval((now - full).numpy())
            decision = msgspec.structs.replace(
                decision,
                held_out=float(now.mean()),
                low=None if change is None else float(full.mean()) + change.low,
                high=None if change is None else float(full.mean()) + change.high,
            )
        result.append(decision)
    return result


__all__ = ["Decision", "Judge", "greedy_sweep"]
