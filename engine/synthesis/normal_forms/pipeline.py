"""The normal forms one after the other, each measured against the network as it was trained. Section 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from engine.synthesis.normal_forms.change_of_basis import Change
from engine.synthesis.normal_forms.debias import debias
from engine.synthesis.normal_forms.jordan import jordan
from engine.synthesis.normal_forms.network import Network
from engine.synthesis.normal_forms.preserved import Checked, checked
from engine.synthesis.normal_forms.quantize import quantize
from engine.synthesis.normal_forms.toeplitz import toeplitz
from engine.synthesis.normal_forms.whitening import whiten

Sequences = Float[np.ndarray[Any, Any], "sequence pos inputs"]
STEPS = ("whiten", "jordan", "toeplitz", "debias", "quantize")


class Thresholds(NamedTuple):
    """The paper's."""

    whiten: float = 0.1
    jordan: float = 0.7
    toeplitz: float = 1e-4
    debias: float = 0.1
    quantize: float = 0.01


def change(network: Network, step: str, eps: float, x: Sequences) -> Change:
    """One step, as it is; hidden states for whitening are those of the sequences."""
    forms: dict[str, Callable[[], Change]] = {
        "whiten": lambda: whiten(network, network.run(x)[0], eps),
        "jordan": lambda: jordan(network, eps),
        "toeplitz": lambda: toeplitz(network, eps),
        "debias": lambda: debias(network, eps),
        "quantize": lambda: quantize(network, eps),
    }
    return forms[step]()


def normalised(
    network: Network,
    steps: tuple[str, ...],
    thresholds: Thresholds,
    x: Sequences,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Checked]:
    """The steps in that order. Each is undone where the network's rounded outputs on these sequences would no longer be
    those of the network before the first step."""
    found: list[Checked] = []
    now = network
    for number, step in enumerate(steps):
        if progress is not None:
            progress(number, len(steps), step)
        made = change(now, step, getattr(thresholds, step), x)
        found.append(checked(network, now, made, x))
        now = found[-1].network
    return found
