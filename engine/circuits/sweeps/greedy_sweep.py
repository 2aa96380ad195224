"""The greedy attention-head sweep (the seed study, section 5.3): remove every head that the metric does not miss.

    ablated = {};  for each layer, first to last:  base = metric(ablated), once, at the layer's start
        for each head of the layer, first to last:  remove it for good if base - metric(ablated + head) <= theta

The base is renewed with each layer only, so the loss on the prompts that decide is at most about layers x theta, and
unbounded on others: prompts held out of all decisions are measured after every removal. Heads are tried in chains that
guess that each is removed; the chain counts up to its first wrong guess. A guess changes no decision: where rounding
could, the head is measured again alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.circuits.bootstrap import PairedBootstrap
from engine.circuits.resume import Entering, Listen, after_attention, entering, go_on, head_deltas, mlp_is_fixed
from engine.circuits.runs import PromptRuns
from engine.hardware import halving
from sessions.components import Head

# 0.97 - 0.94 is above 0.03 in binary. Three examples of a hundred must count as 0.03.
ROUNDING = 1e-9


class Decision(msgspec.Struct, frozen=True):
    """One line of the log. Metric values are as the metric gives them; `drop` is turned so that more is worse."""

    layer: int
    head: int
    base: float  # at the layer's start, on the prompts that decide
    value: float  # with this head removed too
    drop: float
    removed: bool
    alone: bool = False  # close to the threshold: measured again outside its chain
    held_out: float | None = None  # after a removal, on the prompts held out
    low: float | None = None  # 95 % interval of that, from the paired change against the full model
    high: float | None = None

    @property
    def component(self) -> Head:
        return Head(self.layer, self.head)


class _Climb:
    """A prompt set on its way up the layers, without the heads removed so far."""

    def __init__(self, runs: PromptRuns, rows: int) -> None:
        self.runs, self.layer = runs, 0
        self.variants = max(1, rows // max(len(chunk.tokens) for chunk in runs.chunks))
        self.base = runs.clean
        self.states: list[Entering] = []
        for index, chunk in enumerate(runs.chunks):
            cache = runs.cache(index)
            self.states.append(entering(runs.model, 0, cache.resid_pre[0], cache.z[0], cache.mlp_out[0], chunk.at))

    def values(self, removed: Bool[Tensor, "variant head"]) -> Float[Tensor, "variant example"]:
        """The metric when each variant's heads of this layer are removed as well."""
        return torch.cat([self._finish(index, removed, bounds=False)[0] for index in range(len(self.states))], 1)

    def bounds(
        self, removed: Bool[Tensor, "variant head"]
    ) -> tuple[Float[Tensor, "variant example"], Float[Tensor, "variant example"], Float[Tensor, "variant example"]]:
        """The same, and the least and most that rounding allows."""
        parts = [self._finish(index, removed, bounds=True) for index in range(len(self.states))]
        value, low, high = (torch.cat([part[i] for part in parts], 1) for i in range(3))
        return value, low, high

    def _finish(self, index: int, removed: Tensor, *, bounds: bool) -> tuple[Tensor, ...]:
        runs, state = self.runs, self.states[index]
        gone = _numbers(removed.any(0))
        deltas = head_deltas(runs.model, state, runs.replacement(index), runs.chunks[index].at, gone)

        def measured(start: int, stop: int) -> tuple[Tensor, ...]:
            middle = after_attention(runs.model, state, deltas, removed[start:stop, gone])
            final = go_on(runs.model, state, middle)
            value = runs.values(index, final)
            return (value, *runs.bounds(index, final)) if bounds else (value,)

        pieces = list(halving(measured, len(removed), self.variants, device=str(runs.model.device)))
        return tuple(torch.cat([piece[i] for piece in pieces]) for i in range(len(pieces[0])))

    def climb(self, removed: Bool[Tensor, " head"]) -> None:
        """On to the next layer with these heads of this one removed; `base` is the metric there."""
        model, base = self.runs.model, []
        for index, (state, chunk) in enumerate(zip(self.states, self.runs.chunks)):
            gone = _numbers(removed)
            if gone:
                deltas = head_deltas(model, state, self.runs.replacement(index), chunk.at, gone)
                middle = after_attention(model, state, deltas, removed[None, gone])
            else:
                middle = (state.residual + model.attention_output(state.layer, state.z))[None]
            listen = Listen(self.layer, self.layer + 1)
            base.append(self.runs.values(index, go_on(model, state, middle, listen))[0])
            out = listen.heard_mlp[self.layer] if state.mlp_out is None else state.mlp_out
            residual, above = middle[0] + out, self.layer + 1
            parallel = mlp_is_fixed(model) and model.config.d_mlp
            mlp_above = listen.heard_mlp[above] if parallel else torch.zeros_like(residual)
            self.states[index] = entering(model, above, residual, listen.heard_z[above], mlp_above, chunk.at)
        self.base = torch.cat(base)
        self.layer += 1


def _numbers(mask: Bool[Tensor, " head"]) -> list[int]:
    return [int(head) for head in mask.nonzero()]


def greedy_sweep(
    select: PromptRuns,
    held_out: PromptRuns | None,
    *,
    theta: float,
    chain: int = 8,
    rows: int = 1024,
    bootstrap: PairedBootstrap | None = None,
    decided: Sequence[Decision] = (),
) -> Iterator[tuple[Decision, ...]]:
    """The decisions in order, one chain at a time; `decided` are those of an earlier, interrupted run, not made again.

    `theta` is the greatest drop of the metric that still removes a head (in the metric's unit; a rise always removes).
    `chain` is the most heads tried at once, 1 for the plain algorithm; `rows` the most prompts x heads in one batch.
    `bootstrap` must be made for the held-out examples. Intervals are absent without it.
    """
    c = select.model.config
    sets = [_Climb(runs, rows) for runs in (select, held_out) if runs is not None]
    log = list(decided)
    for layer in range(c.n_layers):
        removed = torch.zeros(c.n_heads, dtype=torch.bool, device=select.model.device)
        for decision in log[layer * c.n_heads : (layer + 1) * c.n_heads]:
            removed[decision.head] = decision.removed
        while len(log) < (layer + 1) * c.n_heads:
            first = len(log) - layer * c.n_heads
            length = min(chain, 1 + _run_of_removals(log), c.n_heads - first)
            made = _decide(sets[0], removed, first, length, theta)
            if held_out is not None:
                made = _with_held_out(sets[1], removed, made, bootstrap)
            for decision in made:
                removed[decision.head] = decision.removed
            log.extend(made)
            yield tuple(made)
        if layer < c.n_layers - 1:
            for prompts in sets:
                prompts.climb(removed)


def _run_of_removals(log: Sequence[Decision]) -> int:
    """How many of the last decisions in a row were removals: what is worth guessing next. Known from the log alone, so
    a resumed run tries the same chains."""
    count = 0
    for decision in reversed(log):
        if not decision.removed:
            break
        count += 1
    return count


def _decide(climb: _Climb, removed: Tensor, first: int, length: int, theta: float) -> list[Decision]:
    metric, base = climb.runs.metric, float(climb.base.double().mean())
    chain = removed.repeat(length, 1)
    for step in range(length):
        chain[step:, first + step] = True
    if length == 1:
        means = [climb.values(chain).double().mean(1)] * 3
    else:
        means = [part.double().mean(1) for part in climb.bounds(chain)]

    def drop(value: float) -> float:
        return metric.performance(base) - metric.performance(value)

    made: list[Decision] = []
    for step in range(length):
        value, low, high = (float(part[step]) for part in means)
        verdicts = {drop(v) <= theta + ROUNDING for v in (value, low, high)}
        alone = len(verdicts) > 1
        if alone:
            value = float(climb.values(chain[step : step + 1]).double().mean())
        gone = drop(value) <= theta + ROUNDING
        made.append(Decision(climb.layer, first + step, base, value, drop(value), gone, alone))
        if not gone:
            break
    return made


def _with_held_out(
    climb: _Climb, removed: Tensor, made: list[Decision], bootstrap: PairedBootstrap | None
) -> list[Decision]:
    gone = [decision.head for decision in made if decision.removed]
    if not gone:
        return made
    stages = removed.repeat(len(gone), 1)
    for step, head in enumerate(gone):
        stages[step:, head] = True
    values = climb.values(stages).double().cpu()
    full = climb.runs.clean.double().cpu()
    result = []
    for decision in made:
        if decision.removed:
            now = values[gone.index(decision.head)]
            mean = float(now.mean())
            change = None if bootstrap is None else bootstrap.interval((now - full).numpy())
            decision = msgspec.structs.replace(
                decision,
                held_out=mean,
                low=None if change is None else float(full.mean()) + change.low,
                high=None if change is None else float(full.mean()) + change.high,
            )
        result.append(decision)
    return result


__all__ = ["Decision", "greedy_sweep"]
