"""When a removal counts as harmless (circuits.md, section b, ACDC): four rules, each with its own drift.

P is the performance, the metric turned so that higher is better; D = -P. After n acceptances the worst case is

- absolute, signed:    P_new >= P_cur - tau, and P_cur moves along          P_0 - n tau
- absolute, unsigned:  |P_new - P_cur| < tau                                P_0 -+ n tau
- percentage:          P_new >= (1 - gamma) P_cur                           P_0 (1 - gamma)^n
- fixed:               P_new >= P_full - Gamma, for the whole run           P_0 - Gamma
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from engine.circuits.metrics import Metric

Mode = Literal["absolute", "percentage", "fixed"]
Test = Literal["signed", "absolute"]

# 0.97 - 0.94 is above 0.03 in binary. Three examples of a hundred must count as 0.03.
ROUNDING = 1e-9


class Value(NamedTuple):
    """A mean metric, and the least and most that rounding allows it to be."""

    value: float
    low: float
    high: float


class Rule(NamedTuple):
    """A threshold, how it is meant, and the metric it is about."""

    metric: Metric
    tau: float
    mode: Mode = "absolute"
    test: Test = "signed"

    def drop(self, new: float, current: float) -> float:
        """How much worse, in the metric's unit."""
        return self.metric.performance(current) - self.metric.performance(new)

    def accepts(self, new: float, current: float, full: float) -> bool:
        """Whether a removal that leaves `new` is kept, given the value before it and the whole model's.

        A metric that is minimised is compared with <, as ACDC does it; one that is to stay high with <=.
        """
        match self.mode:
            case "absolute":
                drop = self.drop(new, current)
                if self.test == "absolute":
                    return abs(drop) < self.tau - ROUNDING
                return drop <= self.tau + ROUNDING if self.metric.higher_is_better else drop < self.tau - ROUNDING
            case "percentage":
                return self.drop(new, current) <= self.tau * abs(current) + ROUNDING
            case _:
                return self.drop(new, full) <= self.tau + ROUNDING

    def decide(self, new: Value, current: Value, full: float) -> bool | None:
        """The verdict, or None where rounding could turn it."""
        ends = {self.accepts(n, c, full) for n, c in ((new.low, current.high), (new.high, current.low))}
        ends.add(self.accepts(new.value, current.value, full))
        if len(ends) > 1:
            return None
        return ends.pop()

    @property
    def words(self) -> str:
        """The rule, as a result states it."""
        name = self.metric.name
        sign = "<=" if self.metric.higher_is_better or self.mode != "absolute" else "<"
        match self.mode, self.test:
            case "absolute", "absolute":
                return f"removed if |change of {name}| < {self.tau:g}"
            case "absolute", _:
                return f"removed if {name} gets worse by {sign} {self.tau:g} (an improvement removes too)"
            case "percentage", _:
                return f"removed if {name} gets worse by <= {self.tau:g} of its present size"
            case _:
                return f"removed if {name} is then worse than the whole model's by <= {self.tau:g}"


__all__ = ["ROUNDING", "Mode", "Rule", "Test", "Value"]
