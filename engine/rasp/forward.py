"""The compiled transformer in numpy: ids in, every residual stream out. Small models run faster here than in torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.rasp.compiled import Array, Compiled
from engine.rasp.functions import Value
from sessions.errors import CallError

_EPS = 1e-5  # of LayerNorm, where the model has one


class Run(NamedTuple):
    resid: Array  # [2 * layers + 1, batch, pos, d_model]: the embeddings, then after every half layer
    patterns: Array  # [layers, batch, head, query, key]
    logits: Array  # [batch, pos, outputs]


def encode(compiled: Compiled, inputs: Sequence[Sequence[Value]]) -> Array:
    """Token ids [batch, pos]: the beginning token, the input, padding up to the longest. CallError: a token that is not
    in the vocabulary, an input too long for the model."""
    ids = {v: i for i, v in enumerate(compiled.tokens) if i not in (compiled.bos, compiled.pad)}
    longest = max(map(len, inputs), default=0)
    limit = compiled.state["pos_embed.W_pos"].shape[0] - 1
    if longest > limit:
        raise CallError(
            f"an input has {longest} tokens, the model takes {limit}", remedy="compile with a larger max_len"
        )
    found = np.full((len(inputs), longest + 1), compiled.pad)
    found[:, 0] = compiled.bos
    for row, values in zip(found, inputs):
        try:
            row[1 : len(values) + 1] = [ids[v] for v in values]
        except (KeyError, TypeError):
            odd = next(v for v in values if not _known(v, ids))
            raise CallError(f"{odd!r} is not in the vocabulary", remedy=f"use {', '.join(map(str, ids))}") from None
    return found


def _known(value: Value, ids: dict[Value, int]) -> bool:
    try:
        return value in ids
    except TypeError:
        return False


def run(compiled: Compiled, ids: Array, dtype: Any = np.float32) -> Run:
    """Rows of unequal length may share a batch. Where the weights do not mask padding, it is masked here.

    CallError when a row does not begin with the beginning token or is longer than the model's positions."""
    ids = np.asarray(ids)
    state = {name: w.astype(dtype, copy=False) for name, w in compiled.state.items()}
    batch, pos = ids.shape
    if pos > len(state["pos_embed.W_pos"]):
        raise CallError(f"{pos} tokens, but the model has {len(state['pos_embed.W_pos'])} positions")
    if not (ids[:, 0] == compiled.bos).all():
        raise CallError("an input does not begin with the beginning token", remedy="encode the input first")
    hidden = np.zeros((batch, 1, 1, pos), dtype=bool) | np.zeros((pos, pos), dtype=bool)
    if compiled.domain.causal:
        hidden = hidden | np.triu(np.ones((pos, pos), dtype=bool), 1)
    if not compiled.masks_pad:
        hidden = hidden | (ids == compiled.pad)[:, None, None, :]
    masked = bool(hidden.any())
    x = state["embed.W_E"][ids] + state["pos_embed.W_pos"][:pos]
    resid, patterns = [x], []
    for layer in range(compiled.n_layers):
        b = f"blocks.{layer}."
        read = _norm(x, state, b + "ln1")[:, None]
        q, k, v = (read @ state[b + "attn.W_" + name] for name in "QKV")
        scores = q @ k.swapaxes(-1, -2) / dtype(compiled.attn_scale)
        if masked:
            scores = np.where(hidden, dtype(-np.inf), scores)
        scores -= scores.max(-1, keepdims=True)
        weights = np.exp(scores)
        weights /= weights.sum(-1, keepdims=True)
        patterns.append(weights)
        x = x + ((weights @ v) @ state[b + "attn.W_O"]).sum(1)
        resid.append(x)
        read = _norm(x, state, b + "ln2")
        x = x + np.maximum(read @ state[b + "mlp.W_in"], 0) @ state[b + "mlp.W_out"]
        resid.append(x)
    logits = _norm(x, state, "ln_final") @ state["unembed.W_U"]
    return Run(np.stack(resid), np.stack(patterns), logits)


def _norm(x: Array, state: dict[str, Array], name: str) -> Array:
    gain = state.get(name + ".w")
    if gain is None:
        return x
    x = x - x.mean(-1, keepdims=True)
    normed: Array = x / np.sqrt((x * x).mean(-1, keepdims=True) + x.dtype.type(_EPS)) * gain + state.get(name + ".b", 0)
    return normed


def decode(compiled: Compiled, logits: Array, lengths: Sequence[int]) -> list[list[Value]]:
    """Values at the positions after the beginning token. `lengths`: tokens of each input, the beginning not counted."""
    if compiled.outputs is None:
        return [row[1 : n + 1, 0].tolist() for row, n in zip(logits, lengths, strict=True)]
    best = logits.argmax(-1)
    outputs = compiled.outputs
    return [[outputs[i] for i in row[1 : n + 1].tolist()] for row, n in zip(best, lengths, strict=True)]


def outputs(compiled: Compiled, inputs: Sequence[Sequence[Value]], dtype: Any = np.float32) -> list[list[Value]]:
    """What the model computes on each input."""
    return decode(compiled, run(compiled, encode(compiled, inputs), dtype).logits, [len(x) for x in inputs])
