"""The last digits of a trained network: L-BFGS on the squared error, in float64.

Adam leaves an output of several hundred off by some hundredths, and the states with it; a quasi-Newton method goes on
from there to the last digits of float32 within a few hundred steps.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from engine.models.rnn import Weights, unroll


def polish(
    weights: Weights, x: Float[Tensor, "batch pos inputs"], wanted: Float[Tensor, "batch pos outputs"], steps: int
) -> dict[str, Tensor]:
    """The network trained on by L-BFGS on one batch; the old one where that does not lower the error."""
    leaves = {name: w.detach().double().requires_grad_() for name, w in weights.items()}
    inputs, targets = x.double(), wanted.double()
    optimizer = torch.optim.LBFGS(
        list(leaves.values()),
        max_iter=steps,
        history_size=40,
        tolerance_grad=1e-12,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def error(network: Weights) -> Tensor:
        return ((unroll(network, inputs)[1] - targets) ** 2).mean()

    def closure() -> Tensor:
        optimizer.zero_grad()
        found = error(leaves)
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    found = {name: w.detach().float() for name, w in leaves.items()}
    with torch.no_grad():
        before, after = (error({name: w.double() for name, w in one.items()}) for one in (weights, found))
    return found if bool(after < before) else {name: w.clone() for name, w in weights.items()}
