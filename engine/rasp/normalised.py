"""LayerNorm before every block that leaves the function as it is.

Every direction gets a mirror that holds its negative, so the mean is zero; an anchor pair +K, -K, written by the
embedding, makes the variance nearly constant: after the gain LN(x) = x sqrt(2 K^2 / D) / sqrt((2 |x|^2 + 2 K^2) / D),
so what is read is x (1 - e) with e <= |x|^2 / (2 K^2).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.rasp.basis import in_basis
from engine.rasp.compiled import Compiled
from sessions.errors import CallError

ANCHOR = 2048.0  # K: large against |x|, yet float32 sums beside it keep four decimals
EPS = 1e-5  # what the runtime adds to the variance


def with_layer_norm(compiled: Compiled, anchor: float = ANCHOR) -> Compiled:
    """The model with a LayerNorm (gain, no offset) before attention, MLP and unembedding. Twice as many directions, and
    two. Reads are off by a relative |x|^2 / (2 anchor^2) at most: 2e-6 where the stream is of length 4."""
    if compiled.layer_norm:
        raise CallError("the model has LayerNorm already", "LayerNorm")
    d = compiled.d_model
    eye = np.eye(d)
    enc = np.concatenate([eye, -eye, np.zeros((d, 2))], axis=1)
    dec = np.concatenate([eye, np.zeros((d + 2, d))])
    wide = in_basis(compiled, enc, dec, masks_pad=compiled.masks_pad)
    state = dict(wide.state)
    embed = state["embed.W_E"].copy()
    embed[:, 2 * d] = anchor
    embed[:, 2 * d + 1] = -anchor
    state["embed.W_E"] = embed
    width = 2 * d + 2
    gain = np.full(width, np.sqrt(2 * anchor**2 / width + EPS), np.float32)
    for name in [f"blocks.{layer}.ln{i}" for layer in range(compiled.n_layers) for i in (1, 2)] + ["ln_final"]:
        state[f"{name}.w"] = gain
        state[f"{name}.b"] = np.zeros(width, np.float32)
    names = compiled.residual
    mirrored = (*names, *(f"-{name}" for name in names), "+anchor", "-anchor") if names else ()
    return replace(wide, state=state, residual=mirrored, variables=compiled.variables, layer_norm=True)
