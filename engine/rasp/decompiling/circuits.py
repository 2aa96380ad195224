"""The weights as readers and writers, in float64, and who reads a given vector later on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.models.labels import Labels
from engine.models.protocols import TransformerConfig
from engine.rasp.decompiling.parts import Bools, Floats, Part
from engine.rasp.decompiling.simulation import Simulation
from sessions.errors import CallError

SMALL = 1e-4  # of a product, relative to its factors: what is less is rounding


class Readings(NamedTuple):
    """What columns of weights read: of each part per code (or of the number 1), of every token alike, of BOS."""

    parts: list[Floats]  # [codes, columns]
    always: Floats  # [columns]
    bos: Floats  # [columns]: of the whole first position


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
    than the constant.

    `loose`: what is still taken for nothing; 0 where the weights are exact. Else the stream was projected on the
    directions that it uses. Products then are right for what a residual stream can be as a whole, and only up to a
    constant for each of the s-ops that are written together (a token and an index are always there both). So every
    table is taken less its smallest entry, and those constants together.
    """

    def __init__(
        self, config: TransformerConfig, state: Mapping[str, Any], labels: Labels, *, loose: float = 0.0
    ) -> None:
        self.config, self.labels, self.loose = config, labels, loose
        self.small = loose or SMALL
        self.touch = loose or 2e-5
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
        self.mirrored = False
        gain = state.get("ln_final.w")
        if gain is not None:
            self._without_mirror(np.asarray(gain, dtype=np.float64))
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
        self.simulation = Simulation(len(self.ids), self.max_len, config.attention == "causal")

    def _without_mirror(self, gain: Floats) -> None:
        """Takes a LayerNorm away that was made to change nothing: every direction has a mirror that nobody reads, and
        two anchors keep the length (`normalised.py`). Anything else is left as it is."""
        half = (self.d_model - 2) // 2
        anchors = self.embed[:, 2 * half :]
        mirrored = np.abs(self.embed[:, :half] + self.embed[:, half : 2 * half]).max() < 1e-6
        kept = np.abs(gain - np.abs(anchors[0, 0]) * np.sqrt(2 / self.d_model)).max() < 1e-3 * np.abs(gain).max()
        if self.d_model % 2 or not mirrored or not kept or np.ptp(anchors, axis=0).max() > 1e-6:
            return
        self.mirrored, self.d_model = True, half
        self.embed, self.positions = self.embed[:, :half], self.positions[:, :half]
        self.unembed = self.unembed[:half]
        for readers in (self.q, self.k, self.v):
            readers[:] = [w[:, :half] for w in readers]
        self.o = [w[:, :, :half] for w in self.o]
        self.into = [w[:half] for w in self.into]
        self.out = [w[:, :half] for w in self.out]

    def read(self, parts: Sequence[Part], weights: Floats, *, whole: bool = False, numbers: bool = True) -> Readings:
        """`whole`: keys, values and logits, which do not read the constant, so that a token's whole row will do (keys
        do read the padding token, of which a part's vectors have been made free). `numbers`: whether those can be."""
        bos = self.bos @ weights
        if not self.loose:
            found = [(self.tokens if whole and p.kind == "Tokens" else p.vectors) @ weights for p in parts]
            return Readings(found, np.zeros_like(bos) if whole else self.one @ weights, bos)
        found = [(self.tokens if p.kind == "Tokens" else p.vectors) @ weights for p in parts]
        always = np.zeros_like(bos)
        self.simulation.extend(parts)
        halves: dict[int, list[int]] = {}
        for i, p in enumerate(parts):
            if p.kind != "Nothing":
                halves.setdefault(p.half, []).append(i)
        for members in halves.values():
            if len(members) > 1:
                always = always + self._shared_out(parts, members, found, whole, numbers)
            else:
                seen = self.seen(parts[members[0]], members[0])
                found[members[0]] = np.where(seen[:, None], found[members[0]], 0)
        return Readings(found, always, bos)

    def seen(self, part: Part, at: int) -> Bools:
        """Which codes occur: a direction that is never used was not kept."""
        seen = np.ones(part.size, dtype=bool)
        if part.encoding == "categorical":
            seen[:] = False
            codes = self.simulation.column(at).astype(np.intp)
            seen[np.unique(codes[codes >= 0])] = True
        return seen

    def _shared_out(
        self, parts: Sequence[Part], members: list[int], found: list[Floats], whole: bool, numbers: bool
    ) -> Floats:
        """What the members' readings are worth together is right; which of them has what share is not. A column that
        one of them alone explains is given to it; else each keeps its own less the smallest. Changes `found`, and
        gives the constants."""
        rows = self.simulation.together(members)
        total = np.zeros((len(rows), found[members[0]].shape[1]))
        for k, i in enumerate(members):
            if parts[i].encoding == "categorical":
                at = rows[:, k].astype(np.intp)
                total += np.where(at[:, None] >= 0, found[i][at], 0)
            else:
                total += rows[:, k, None] * found[i]
        size = np.abs(total).max(0) + 1e-9
        choices: list[tuple[Floats, Floats, Bools]] = []  # table, constant, which columns fit
        for k, i in enumerate(members):
            if parts[i].encoding == "categorical":
                codes = rows[:, k].astype(np.intp)
                known = codes >= 0
                one_hot = np.zeros((parts[i].size, len(rows)))
                one_hot[codes[known], np.flatnonzero(known)] = 1
                counts = one_hot.sum(1)
                table = one_hot @ total / np.maximum(counts, 1)[:, None]
                constant = table[counts > 0].min(0) if known.all() and parts[i].size > 1 else np.zeros(total.shape[1])
                constant = np.where(np.abs(constant) > self.touch * size, constant, 0)
                guess = np.where(known[:, None], table[codes], 0)
                table = np.where(counts[:, None] > 0, table - constant, 0)
            else:
                x = np.stack([rows[:, k], np.ones(len(rows))], axis=1)
                solved = np.linalg.lstsq(x, total, rcond=None)[0]
                guess, table, constant = x @ solved, solved[:1], solved[1]
            fits: Bools = np.abs(guess - total).max(0) < np.maximum(3 * self.touch * size, 1e-3)
            if not numbers and parts[i].encoding == "numerical":
                fits = np.zeros_like(fits)
            choices.append((table, constant, fits))
        own = [float(np.abs(found[i]).max()) for i in members]
        always = np.zeros(total.shape[1])
        coded = [whole and parts[i].encoding == "categorical" for i in members]  # of equals, values are numbers
        order = sorted(range(len(members)), key=lambda k: (-int(choices[k][2].sum()), coded[k], -own[k]))
        open_ = np.ones(total.shape[1], dtype=bool)
        shared = [np.zeros_like(found[i]) for i in members]
        for k in order:
            table, constant, fits = choices[k]
            mine = open_ & fits
            shared[k][:, mine] = table[:, mine]
            always[mine] += constant[mine]
            open_ &= ~fits
        for k, i in enumerate(members):
            rest = found[i]
            if parts[i].encoding == "categorical" and parts[i].size > 1:
                seen = self.seen(parts[i], i)
                least = rest[seen].min(0) if seen.any() else np.zeros(total.shape[1])
                rest = np.where(seen[:, None], rest - least, 0)
                always[open_] += least[open_]
            found[i] = np.where(open_, rest, shared[k])
        return always

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
                found.append(readings > self.small * size * length)
            return np.concatenate(found, axis=1)

        into = np.concatenate([np.zeros((self.d_model, 0)), *(self.into[layer] for layer in mlps)], axis=1)
        lengths = (into**2).sum(0)
        units = vectors @ into
        units[np.abs(units) <= self.touch * np.sqrt(lengths) * length] = 0
        logits = np.abs(vectors @ self.unembed).max(-1) > self.small * length[:, 0]
        ones = self.one @ into
        if self.loose:
            ones = (self.tokens @ into).min(0) + (self.positions[1:] @ into).min(0)
            lengths = np.where(np.abs(ones + 1) < 0.1, 3, lengths)  # lengths are not kept
        return Usage(read(self.k), read(self.q), read(self.v), logits, units, ones, lengths)

    def is_number(self, vector: Floats, half: int) -> bool:
        """Whether what reads the vector takes it for a number, and not for one value of several."""
        u = self.usage(vector[None], half)
        if u.logits[0]:
            return self.labels.outputs is None
        if u.keys.any() or u.queries.any():
            return False
        weights = u.units[0]
        near = 0.1 if self.loose else 1e-3
        conjunction = (np.abs(weights - 1) < near) & (np.abs(u.ones + 1) < near) & (np.abs(u.lengths - 3) < 1e-2)
        if conjunction.any():
            return False
        shifted = np.abs(u.ones) > self.small * np.sqrt(u.lengths)
        if ((weights < 0) | ((weights != 0) & shifted)).any():
            return True
        for at in np.flatnonzero(u.values[0]).tolist():
            layer, head = (half + 2) // 2 + at // self.n_heads, at % self.n_heads
            return self.is_number(vector @ self.v[layer][head] @ self.o[layer][head], 2 * layer)
        return False
