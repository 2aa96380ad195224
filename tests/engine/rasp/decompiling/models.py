"""Compiled models with their weights in another order, which is no difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from engine.rasp.compiled import Compiled
from engine.rasp.decompiling import Decompiled, decompile
from engine.rasp.model import to_config, to_labels


def decompiled(c: Compiled, **options: Any) -> Decompiled:
    """From weights and token values alone: the labels of directions and the program's text are taken away."""
    import msgspec

    labels = msgspec.structs.replace(to_labels(c), residual=(), program="")
    return decompile(to_config(c), c.state, labels, **options)


def shuffled(c: Compiled, rng: np.random.Generator) -> Compiled:
    """Directions, heads, columns of heads and hidden units in a random order."""
    directions = rng.permutation(c.d_model)
    state = {}
    for name, w in c.state.items():
        if name.endswith(("W_E", "W_pos", "W_out", "W_O")):
            state[name] = w[..., directions]
        elif name.endswith(("W_U", "W_in")):
            state[name] = w[directions]
        else:
            state[name] = w[:, directions]
    for layer in range(c.n_layers):
        b = f"blocks.{layer}."
        heads, units = rng.permutation(c.n_heads), rng.permutation(c.d_mlp)
        scored, carried = rng.permutation(c.d_head), rng.permutation(c.d_head)
        for name, columns in (("W_Q", scored), ("W_K", scored), ("W_V", carried)):
            state[b + "attn." + name] = state[b + "attn." + name][heads][:, :, columns]
        state[b + "attn.W_O"] = state[b + "attn.W_O"][heads][:, carried]
        state[b + "mlp.W_in"] = state[b + "mlp.W_in"][:, units]
        state[b + "mlp.W_out"] = state[b + "mlp.W_out"][units]
    return replace(c, state=state, residual=())
