"""Weights as one vector, and vectors as a meta-model reads them (the published layout).

Position embedding, token embedding, then for every layer key, query, value, attention output, MLP in, MLP out, each as
bias, then weight [inputs, outputs] row by row. The unembedding is left out. A compiled model has no biases; the layout
keeps their places, as zeros, so that the counts are the published ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from engine.rasp.compiled import Array, Compiled
from sessions.errors import CallError

MOST_WEIGHTS = 65_536  # m: larger models are left out of a dataset
MOST_TOKENS = 128  # r: longer programs are
PADDING = 0.05  # of the paper; its later code uses 0.1
PIECE = 256  # weights in one of the meta-model's "weight tokens"


class Sizes(NamedTuple):
    """What is needed to take a flattened vector apart."""

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    d_vocab: int
    n_ctx: int

    @classmethod
    def of(cls, compiled: Compiled) -> Sizes:
        return cls(
            compiled.n_layers,
            compiled.n_heads,
            compiled.d_model,
            compiled.d_head,
            compiled.d_mlp,
            len(compiled.state["embed.W_E"]),
            len(compiled.state["pos_embed.W_pos"]),
        )

    @property
    def weights(self) -> int:
        """How long the vector is."""
        columns = self.n_heads * self.d_head
        attention = 4 * columns * self.d_model + 3 * columns + self.d_model
        mlp = 2 * self.d_model * self.d_mlp + self.d_mlp + self.d_model
        return (self.n_ctx + self.d_vocab) * self.d_model + self.n_layers * (attention + mlp)


def flatten(compiled: Compiled) -> Float32[np.ndarray, " weights"]:
    """The weights in the published order. LayerNorm gains, where there are some, are left out."""
    return flatten_state(compiled.state, Sizes.of(compiled))


def flatten_state(state: Mapping[str, Array], sizes: Sizes) -> Float32[np.ndarray, " weights"]:
    """The same of weights by name, of a model of those sizes."""
    parts: list[Array] = [state["pos_embed.W_pos"], state["embed.W_E"]]
    columns = sizes.n_heads * sizes.d_head
    for layer in range(sizes.n_layers):
        block = f"blocks.{layer}."
        for name in ("K", "Q", "V"):
            weight = state[f"{block}attn.W_{name}"]  # [head, d_model, d_head]
            parts += [np.zeros(columns), weight.transpose(1, 0, 2)]
        parts += [np.zeros(sizes.d_model), state[f"{block}attn.W_O"]]
        parts += [np.zeros(sizes.d_mlp), state[f"{block}mlp.W_in"]]
        parts += [np.zeros(sizes.d_model), state[f"{block}mlp.W_out"]]
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)


def unflatten(vector: Float[np.ndarray, " weights"], sizes: Sizes) -> dict[str, Array]:
    """The weights by HookedTransformer name (see `Compiled.state`), without the unembedding.

    CallError when the vector is not as long as the sizes say.
    """
    if len(vector) != sizes.weights:
        raise CallError(f"{len(vector):,} weights are not the {sizes.weights:,} of that architecture", "weights")
    at = 0

    def take(*shape: int) -> Array:
        nonlocal at
        count = math.prod(shape)
        at += count
        return vector[at - count : at].reshape(shape)

    heads, d_model, d_head, d_mlp = sizes.n_heads, sizes.d_model, sizes.d_head, sizes.d_mlp
    state = {"pos_embed.W_pos": take(sizes.n_ctx, d_model), "embed.W_E": take(sizes.d_vocab, d_model)}
    for layer in range(sizes.n_layers):
        block = f"blocks.{layer}."
        for name in ("K", "Q", "V"):
            take(heads * d_head)
            state[f"{block}attn.W_{name}"] = take(d_model, heads, d_head).transpose(1, 0, 2)
        take(d_model)
        state[f"{block}attn.W_O"] = take(heads, d_head, d_model)
        take(d_mlp)
        state[f"{block}mlp.W_in"] = take(d_model, d_mlp)
        take(d_model)
        state[f"{block}mlp.W_out"] = take(d_mlp, d_model)
    return state


def scaled(weights: Float[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """w ln(2) / 2 where |w| < 2, else sign(w) ln |w|: 1 and 100, the numbers of a compiled model, come closer."""
    size = np.abs(weights)
    large = np.sign(weights) * np.log(np.maximum(size, 2))
    return np.where(size < 2, weights * (math.log(2) / 2), large).astype(np.float32)


def padded(
    vectors: Sequence[Float[np.ndarray, " weights"]],
    m: int = MOST_WEIGHTS,
    piece: int = PIECE,
    padding: float = PADDING,
) -> Float32[np.ndarray, "vector pieces piece"]:
    """Flattened models as a meta-model's input: scaled, padded to m, cut into m / piece weight tokens.

    CallError for a vector longer than m.
    """
    found: np.ndarray[Any, np.dtype[np.float32]] = np.full((len(vectors), m), padding, dtype=np.float32)
    for row, vector in zip(found, vectors):
        if len(vector) > m:
            raise CallError(f"a model of {len(vector):,} weights is larger than {m:,}", "weights")
        row[: len(vector)] = scaled(vector)
    return found.reshape(len(vectors), m // piece, piece)
