"""The weights as readers and writers, in float64, and who reads a given vector later on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from engine.models.labels import Labels
from engine.models.protocols import TransformerConfig
from engine.rasp.decompiling.parts import Bools, Floats
from sessions.errors import CallError

SMALL = 1e-4  # of a product, relative to its factors: what is less is rounding


class Usage(NamedTuple):
    """Who reads the vectors [n, d_model] after a half layer."""

    keys: Bools  # [n, heads of all layers]
    queries: Bools
    values: Bools
    logits: Bools  # [n]
    units: Floats  # [n, hidden units of all layers]: weights
    ones: Floats  # [units]: weight of the constant
    lengths: Floats  # [units]: squared norm of the weights


class Circuits:
    """Weights by layer. `one` stands for the constant direction: the padding token's row, of which only keys read more
    than the constant."""

    def __init__(self, config: TransformerConfig, state: Mapping[str, Any], labels: Labels) -> None:
        self.config, self.labels = config, labels
        self.n_layers, self.n_heads = config.n_layers, config.n_heads

        def array(name: str) -> Floats:
            try:
                return np.asarray(state[name], dtype=np.float64)
            except KeyError:
                raise CallError(f"the weights hold no {name}", "rasp.decompile", "give a compiled model") from None

        self.embed, self.positions = array("embed.W_E"), array("pos_embed.W_pos")
        self.unembed = array("unembed.W_U")
        layers = range(self.n_layers)
        self.q, self.k, self.v, self.o = (
            [array(f"blocks.{layer}.attn.W_{name}") for layer in layers] for name in "QKVO"
        )
        self.into = [array(f"blocks.{layer}.mlp.W_in") for layer in layers]
        self.out = [array(f"blocks.{layer}.mlp.W_out") for layer in layers]
        self.d_model = self.embed.shape[1]
        if labels.pad is None:
            raise CallError(
                "the labels name no padding token", "rasp.decompile", "give the labels it was compiled with"
            )
        special = {labels.bos, labels.pad}
        self.ids = [i for i in range(len(labels.tokens)) if i not in special]
        self.vocab = tuple(labels.tokens[i] for i in self.ids)
        self.max_len = len(self.positions) - 1
        self.one = self.embed[labels.pad]
        self.bos = self.embed[labels.bos]
        self.tokens = self.embed[self.ids]

    def usage(self, vectors: Floats, half: int) -> Usage:
        n = len(vectors)
        length = np.linalg.norm(vectors, axis=1)[:, None]
        attention = range((half + 2) // 2, self.n_layers)
        mlps = range((half + 1) // 2, self.n_layers)

        def read(weights: list[Floats]) -> Bools:
            found = [np.zeros((n, 0), dtype=bool)]
            for layer in attention:
                w = weights[layer]  # [head, d_model, d_head]
                size = np.linalg.norm(w, axis=1).max(-1)  # [head]
                readings = np.abs(vectors @ w).max(-1).T
                found.append(readings > SMALL * size * length)
            return np.concatenate(found, axis=1)

        into = np.concatenate([np.zeros((self.d_model, 0)), *(self.into[layer] for layer in mlps)], axis=1)
        lengths = (into**2).sum(0)
        units = vectors @ into
        units[np.abs(units) <= SMALL * 0.1 * np.sqrt(lengths) * length] = 0
        logits = np.abs(vectors @ self.unembed).max(-1) > SMALL * length[:, 0]
        return Usage(read(self.k), read(self.q), read(self.v), logits, units, self.one @ into, lengths)

    def is_number(self, vector: Floats, half: int) -> bool:
        """Whether what reads the vector takes it for a number, and not for one value of several."""
        u = self.usage(vector[None], half)
        if u.logits[0]:
            return self.labels.outputs is None
        if u.keys.any() or u.queries.any():
            return False
        weights = u.units[0]
        conjunction = (np.abs(weights - 1) < 1e-3) & (np.abs(u.ones + 1) < 1e-3) & (np.abs(u.lengths - 3) < 1e-2)
        if conjunction.any():
            return False
        shifted = np.abs(u.ones) > SMALL * np.sqrt(u.lengths)
        if ((weights < 0) | ((weights != 0) & shifted)).any():
            return True
        for at in np.flatnonzero(u.values[0]).tolist():
            layer, head = (half + 2) // 2 + at // self.n_heads, at % self.n_heads
            return self.is_number(vector @ self.v[layer][head] @ self.o[layer][head], 2 * layer)
        return False
