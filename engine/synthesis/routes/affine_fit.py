"""W, V and b of a network whose update is affine where it goes: read from its weights, or fitted to the states it
visits, with the tolerance that the fit must meet."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from engine.models.cells import as_mips
from engine.models.protocols import RecurrentModel
from engine.synthesis.normal_forms.network import Network, network_of

Sequences = Int[np.ndarray[Any, Any], "sequence pos value"]
Rows = Float[np.ndarray[Any, Any], "row column"]
STATE_TOLERANCE = 0.02  # largest error of a fitted update, in standard deviations of its hidden number
OUTPUT_TOLERANCE = 0.3  # largest error of a fitted output: rounding forgives a half


class AffineNetwork(NamedTuple):
    """h' = update h + driven x + bias, y = read h + read_bias (None where the outputs are not affine), and what the
    network did on the sampled sequences."""

    update: Float[np.ndarray[Any, Any], "hidden hidden"]
    driven: Float[np.ndarray[Any, Any], "hidden inputs"]
    bias: Float[np.ndarray[Any, Any], " hidden"]
    read: Float[np.ndarray[Any, Any], "output hidden"] | None
    read_bias: Float[np.ndarray[Any, Any], " output"]
    first_read: Float[np.ndarray[Any, Any], "some hidden"]  # the first layer of g, or all of h where g hides it
    hidden: Float[np.ndarray[Any, Any], "sequence pos hidden"]
    y: Int[np.ndarray[Any, Any], "sequence pos output"]  # rounded
    source: str


def affine_network(model: RecurrentModel, x: Sequences) -> AffineNetwork | str:
    """The affine maps of a network, or in words why its update is none.

    Weights are read exactly where f (and g) have one layer. Else the maps are fitted by least squares to all steps of
    the sampled sequences, and accepted if no update is off by more than 0.02 standard deviations of its hidden number
    and no output by more than 0.3.
    """
    network = _weights(model)
    hidden, outputs = observed(model, x)
    n = hidden.shape[2]
    flat = hidden.reshape(-1, n)
    if network is not None and len(network.f) == 1:
        update, driven, bias = network.hidden_columns, network.input_columns, network.f[0].bias
        sources = ["update read from the weights"]
    else:
        before = np.concatenate([np.zeros_like(hidden[:, :1]), hidden[:, :-1]], axis=1)
        known = np.concatenate([before, x.astype(np.float64)], axis=2).reshape(flat.shape[0], -1)
        fitted, constant, error = fit(known, flat)
        spread = flat.std(axis=0)
        relative = float((error / np.maximum(spread, 1e-3 * spread.max() + 1e-12)).max())
        if relative > STATE_TOLERANCE:
            return f"the update is not affine on the visited states: off by {relative:.2g} standard deviations at most"
        update, driven, bias = fitted[:, :n], fitted[:, n:], constant
        sources = [f"update fitted to the visited states (off by {relative:.1g} standard deviations at most)"]
    read: Rows | None
    if network is not None and len(network.g) == 1:
        read, read_bias = network.g[0]
        sources.append("outputs read from the weights")
    else:
        read, read_bias, error = fit(flat, outputs.reshape(len(flat), -1))
        sources.append(f"outputs fitted (off by {error.max():.1g} at most)")
        if error.max() > OUTPUT_TOLERANCE:
            read = None
            sources[-1] = "outputs not affine"
    first = np.eye(n) if network is None else network.g[0].weight
    y = np.rint(outputs).astype(np.int64)
    return AffineNetwork(update, driven, bias, read, read_bias, first, hidden, y, "; ".join(sources))


def observed(model: RecurrentModel, x: Sequences) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Hidden states after each input and raw outputs, in float64, both (sequence, position, number)."""
    states, raw = (part.detach().to("cpu", torch.float64) for part in model.run(torch.tensor(x, dtype=torch.float32)))
    return states.numpy(), raw.numpy()


def fit(
    known: Rows, wanted: Rows
) -> tuple[Rows, Float[np.ndarray[Any, Any], " column"], Float[np.ndarray[Any, Any], " column"]]:
    """Least squares of wanted = A known + b: A, b, and the largest error in each column."""
    design = np.concatenate([known, np.ones((len(known), 1))], axis=1)
    solved = np.linalg.lstsq(design, wanted, rcond=1e-9)[0]
    return solved[:-1].T, solved[-1], np.abs(design @ solved - wanted).max(axis=0)


def _weights(model: RecurrentModel) -> Network | None:
    """The network's pieces, where it shows its weights."""
    shown = as_mips(model)
    return None if shown is None else network_of(shown.weights)
