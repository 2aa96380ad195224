"""What a patch did, from metric values per prompt: as a share of the way between clean and corrupt, or as it is.

Means over prompts come first and the quotient last, so that a prompt whose clean and corrupt values happen to be close
does not drown the others:

    denoising   (m_patched - m_corrupt) / (m_clean - m_corrupt)      the corrupt run, a clean activation pasted in
    noising     (m_patched - m_clean) / (m_corrupt - m_clean)        the clean run, a corrupt activation pasted in

(circuits.md, section b, Interventions). Either way 0 is the run that was patched and 1 the run the patch came from.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from sessions.artifacts import Array, Scale

Direction = Literal["denoising", "noising"]
Report = Literal["normalised", "difference", "metric"]
LEAST_SPAN = 1e-6  # of the larger of 1 and the metric's size: a smaller difference of clean and corrupt is rounding


class Effect(NamedTuple):
    """Per unit, over the prompts it was measured on so far. NaN where there are none, or the quotient is undefined."""

    reported: Array
    error: Array  # standard error of it over prompts, the quotient's denominator taken for exact
    difference: Array  # m_patched - m of the run that was patched
    metric: Array  # m_patched


class Effects:
    """Turns metric values [unit example] into effects, given those of the clean and the corrupt run [example]."""

    def __init__(self, clean: Array, corrupt: Array, direction: Direction, report: Report) -> None:
        self.direction, self.report = direction, report
        self.clean, self.corrupt = np.asarray(clean, np.float64), np.asarray(corrupt, np.float64)
        self.base, self.donor = (self.corrupt, self.clean) if direction == "denoising" else (self.clean, self.corrupt)

    def of(self, values: Array) -> Effect:
        """The effects of units measured on some or all prompts; values are NaN where a unit has not been measured."""
        seen = np.isfinite(values)
        count = seen.sum(1)

        def mean(of: Array) -> Array:
            with np.errstate(invalid="ignore", divide="ignore"):
                found: Array = np.where(seen, of, 0.0).sum(1) / count
            return found

        exact = np.asarray(values, np.float64)
        base, metric = mean(self.base), mean(exact)
        difference = mean(exact - self.base)
        spread = mean((exact - self.base - difference[:, None]) ** 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.sqrt(spread / np.where(count > 1, count - 1, np.nan))
        match self.report:
            case "metric":
                return Effect(metric, error, difference, metric)
            case "difference":
                return Effect(difference, error, difference, metric)
            case "normalised":
                donor = mean(self.donor)
                with np.errstate(invalid="ignore"):
                    defined = np.abs(donor - base) > LEAST_SPAN * np.maximum(1, np.maximum(np.abs(donor), np.abs(base)))
                span = np.where(defined, donor - base, np.nan)
                return Effect(difference / span, error / np.abs(span), difference, metric)

    @property
    def undefined(self) -> str:
        """Why no effect can be given, in words; empty when it can."""
        if self.report != "normalised" or np.isfinite(self.of(self.base[None]).reported[0]):
            return ""
        value = f"both {self.clean.mean():.4g}"
        return f"undefined: the metric is the same on clean and corrupt prompts ({value}); ask for report=difference"

    @property
    def scale(self) -> Scale:
        return "sequential" if self.report == "metric" else "diverging"

    def unit(self, metric: str) -> str:
        """The reported number's unit, given the metric's."""
        return "share" if self.report == "normalised" else metric

    def said(self, value: float, metric: str) -> str:
        """One effect in words, given the metric's unit."""
        match self.report:
            case "normalised":
                return f"{100 * value:.3g} % of the way"
            case "difference":
                return f"{value:+.3g} {metric}"
            case "metric":
                return f"{value:.3g} {metric}"

    def title(self, metric: str) -> str:
        """The reported number's name, given the metric's."""
        return {"normalised": f"normalised effect on {metric}", "difference": f"change in {metric}"}.get(
            self.report, metric
        )

    def words(self) -> str:
        """What the reported number is."""
        patched, other = ("corrupt", "clean") if self.direction == "denoising" else ("clean", "corrupt")
        match self.report:
            case "normalised":
                return (
                    f"(m_patched - m_{patched}) / (m_{other} - m_{patched}), of means over prompts; "
                    f"0: as the {patched} run, 1: as the {other} run"
                )
            case "difference":
                return f"m_patched - m_{patched}, mean over prompts"
            case "metric":
                return "m_patched, mean over prompts"

    def facts(self) -> dict[str, Any]:
        patched, other = ("corrupt", "clean") if self.direction == "denoising" else ("clean", "corrupt")
        return {
            "patching": f"{self.direction}: the {patched} run, with a {other} activation pasted in",
            "report": self.report,
            "effect": self.words(),
            "m_clean": float(self.clean.mean()),
            "m_corrupt": float(self.corrupt.mean()),
        }


__all__ = ["Direction", "Effect", "Effects", "Report"]
