"""Whether a circuit does better or worse on another model than on its own, told with its doubt.

The seed's claim: circuits transfer to more-finetuned models and not back. So a circuit does better on later models than
where it was found, and worse on earlier ones.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from engine.circuits.bootstrap import Bounds, PairedBootstrap

Verdict = Literal["better there", "worse there", "no clear difference"]


class Moved(NamedTuple):
    """The mean change of performance (higher is better) from a circuit's own model to another, and its interval."""

    change: float
    bounds: Bounds

    @property
    def verdict(self) -> Verdict:
        if self.bounds.low > 0:
            return "better there"
        return "worse there" if self.bounds.high < 0 else "no clear difference"


def moved(
    own: Float[np.ndarray, " example"],
    there: Float[np.ndarray, " example"],
    *,
    higher_is_better: bool,
    bootstrap: PairedBootstrap,
) -> Moved:
    """From the metric per example, on the same prompts, of the circuit alone in its own model and in the other."""
    change = (there - own) if higher_is_better else (own - there)
    return Moved(float(change.mean()), bootstrap.interval(change))


__all__ = ["Moved", "Verdict", "moved"]
