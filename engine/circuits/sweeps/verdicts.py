"""When a head may go: the threshold, what it is measured from, and on which prompts it is judged.

With P the performance (the metric, turned so that higher is better), a head is removed if on the prompts that select

- absolute:    P_ref - P_new <= theta
- percentage:  P_new >= (1 - theta) P_ref    (of a metric that is minimised: at most theta of its value worse)
- fixed:       P_full - P_new <= theta, for the whole run

where P_ref is the performance at the layer's start, or after the last removal. After n removals from the last removal,
the worst case is P_full - n theta, P_full (1 - theta)^n and P_full - theta (circuits.md, section b). A split of prompts
that judges wants more: the upper end of the paired bootstrap interval of the drop must be within the same allowance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor

from engine.circuits.bootstrap import PairedBootstrap
from engine.circuits.metrics import Metric
from engine.circuits.sweeps.walk import Known

Threshold = Literal["absolute", "percentage", "fixed"]
Base = Literal["layer", "previous"]

# 0.97 - 0.94 is above 0.03 in binary. Three examples of a hundred must count as 0.03.
ROUNDING = 1e-9


class Outcome(NamedTuple):
    """One head tried on one split of the prompts."""

    passes: bool
    reference: float  # the metric that the drop is counted from
    value: float
    drop: float  # of the mean
    judged: float  # what is compared with the allowance: the drop, or the upper end of its interval
    allowed: float


@dataclass(frozen=True)
class Criterion:
    """A threshold on one split; with a bootstrap (made for its examples) the interval's upper end must keep to it."""

    metric: Metric
    theta: float
    threshold: Threshold = "absolute"
    bootstrap: PairedBootstrap | None = None

    def outcome(self, new: Tensor, reference: Tensor) -> Outcome:
        """From the metric per example [example], after and before."""
        sign = 1 if self.metric.higher_is_better else -1
        before, after = float(reference.double().mean()), float(new.double().mean())
        drop = sign * (before - after)
        judged = drop
        if self.bootstrap is not None:
            judged = self.bootstrap.interval((sign * (reference.double() - new.double())).cpu().numpy()).high
        allowed = self.theta * abs(before) if self.threshold == "percentage" else self.theta
        return Outcome(judged <= allowed + ROUNDING, before, after, drop, judged, allowed)

    def within(self, new: Known, reference: Known) -> tuple[Outcome, bool]:
        """The outcome, and whether rounding leaves the verdict as it is."""
        found = self.outcome(new.value, reference.value)
        ends = [(new.low, reference.high), (new.high, reference.low)]
        return found, all(self.outcome(n, r).passes == found.passes for n, r in ends)

    def within_error(self, new: Tensor, reference: Tensor, error: float) -> tuple[Outcome, bool]:
        """The outcome, and whether it stays as it is when `judged` is off by so much."""
        found = self.outcome(new, reference)
        return found, abs(found.judged - found.allowed) > error

    @property
    def words(self) -> str:
        """The rule, as a result states it."""
        worse = f"{self.metric.name} gets worse by at most"
        match self.threshold:
            case "absolute":
                return f"{worse} {self.theta:g}"
            case "percentage":
                return f"{worse} {self.theta:g} of its reference value"
            case _:
                return f"{worse} {self.theta:g} from the full model's, for the whole run"


__all__ = ["ROUNDING", "Base", "Criterion", "Outcome", "Threshold"]
