"""A compiled model in another basis of the residual stream: what writes is multiplied by one matrix, what reads by
another. Where the two are inverse to each other, products of readers and writers stay, and so does the function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from engine.rasp.compiled import Array, Compiled

WRITERS = ("embed.W_E", "pos_embed.W_pos", "attn.W_O", "mlp.W_out")
READERS = ("attn.W_Q", "attn.W_K", "attn.W_V", "mlp.W_in", "unembed.W_U")


def in_basis(
    compiled: Compiled, enc: Float[Array, "d_model new"], dec: Float[Array, "new d_model"], *, masks_pad: bool
) -> Compiled:
    """Writers times `enc` (rows are residual vectors), `dec` times readers. The directions lose their names."""
    state = {}
    for name, array in compiled.state.items():
        wide = array.astype(np.float64)
        if name.endswith(WRITERS):
            wide = wide @ enc
        elif name.endswith(READERS):
            wide = dec @ wide
        state[name] = wide.astype(np.float32)
    return replace(
        compiled,
        d_model=enc.shape[1],
        state=state,
        residual=(),
        variables=tuple(replace(v, dims=(), attention_dim=None) for v in compiled.variables),
        masks_pad=masks_pad,
    )
