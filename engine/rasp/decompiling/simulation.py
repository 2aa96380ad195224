"""The parts run on random inputs: which codes occur, and occur together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.rasp.decompiling.parts import NONE, Bools, Floats, Ints, Part

INPUTS = 600
SEED = 20_260  # the same model is always read the same way


class Simulation:
    """Values of parts on inputs of every length: codes, or numbers. One array [inputs, positions] per length, joined
    to one row per position by `column`."""

    def __init__(self, vocab: int, max_len: int, causal: bool) -> None:
        rng = np.random.default_rng(SEED)
        self.causal = causal
        lengths = sorted({1, (max_len + 1) // 2, max(max_len - 1, 1), max_len})
        shares = [INPUTS if n == max_len else INPUTS // 8 for n in lengths]
        self._inputs: list[Ints] = [rng.integers(vocab, size=(count, n)) for count, n in zip(shares, lengths)]
        self._values: list[list[Floats]] = []  # per part
        self._together: dict[tuple[int, ...], Floats] = {}

    def extend(self, parts: Sequence[Part]) -> None:
        """Runs the parts that have not run yet; each reads earlier ones only."""
        for part in parts[len(self._values) :]:
            self._values.append([self._run(part, group) for group in range(len(self._inputs))])

    def column(self, part: int) -> Floats:
        return np.concatenate([values.ravel() for values in self._values[part]])

    def together(self, parts: Sequence[int]) -> Floats:
        """What the parts are at the same position, [row, part], every different row once. Remembered, as sorting rows
        is slow and every reader of a layer asks for the same ones: not to be written to."""
        key = tuple(parts)
        if key not in self._together:
            found = np.unique(np.stack([self.column(i) for i in key], axis=1), axis=0)
            found.flags.writeable = False
            self._together[key] = found
        return self._together[key]

    def occurrences(self, part: Part, sizes: Sequence[int]) -> Ints:
        """How often each row of a map's table is used (each pair of rows, of two arguments)."""
        places = [self._places(part, self.column(i)) for i in part.reads]
        known = np.all([p >= 0 for p in places], axis=0)
        flat = np.ravel_multi_index([p[known] for p in places], list(sizes))
        counts: Ints = np.bincount(flat, minlength=int(np.prod(sizes)))
        return counts

    def _run(self, part: Part, group: int) -> Floats:
        inputs = self._inputs[group]
        of = [self._values[i][group] for i in part.reads]
        if part.kind == "Tokens":
            return inputs.astype(np.float64)
        if part.kind == "Indices":
            return np.broadcast_to(np.arange(inputs.shape[1], dtype=np.float64), inputs.shape)
        if part.kind == "Nothing":
            return np.zeros(inputs.shape)
        if part.kind == "LinearSequenceMap":
            total: Floats = part.factors[0] * of[0] + part.factors[1] * of[1]
            return total
        if part.kind in ("Aggregate", "SelectorWidth", "Count"):
            return self._attend(part, of)
        table: np.ndarray[Any, Any] | None = part.numbers if part.numbers is not None else part.codes
        assert table is not None
        if part.kind == "SequenceMap":
            x, y = (v.astype(np.intp) for v in of)
            found: Floats = np.where((x >= 0) & (y >= 0), table[x, y], NONE).astype(np.float64)
            return found
        x = self._places(part, of[0])
        mapped: Floats = np.where(x >= 0, table.ravel()[x], NONE).astype(np.float64)
        return mapped

    def _places(self, part: Part, values: Floats) -> Ints:
        """Rows of the table: codes, or the nearest of the numbers that it runs over."""
        if part.inputs is None:
            return values.astype(np.intp)
        at = np.asarray(part.inputs, dtype=np.float64)
        found: Ints = np.abs(values[..., None] - at).argmin(-1)
        return found

    def meetings(self, queries: int, keys: int, sizes: tuple[int, int]) -> Bools:
        """Which codes of queries meet which of keys, [query code, key code]."""
        found = np.zeros(sizes, dtype=bool)
        for q, k in zip(self._values[queries], self._values[keys]):
            asking = np.broadcast_to(q.astype(np.intp)[:, :, None], (*q.shape, q.shape[1]))
            offered = np.broadcast_to(k.astype(np.intp)[:, None, :], asking.shape)
            both = (asking >= 0) & (offered >= 0)
            if self.causal:
                both = both & np.tri(q.shape[1], dtype=bool)
            found[asking[both], offered[both]] = True
        return found

    def _attend(self, part: Part, of: Sequence[Floats]) -> Floats:
        assert part.matches is not None
        keys, queries = (v.astype(np.intp) for v in of[:2])
        selected = part.matches[queries[:, :, None], keys[:, None, :]]
        selected = selected & (queries >= 0)[:, :, None] & (keys >= 0)[:, None, :]
        if self.causal:
            selected = selected & np.tri(selected.shape[1], dtype=bool)
        count: Floats = selected.sum(-1).astype(np.float64)
        if part.kind == "SelectorWidth":
            return count
        if part.kind == "Count":
            return np.reciprocal(count + 1.0)
        values = of[2][:, None, :]
        found: Floats
        if part.encoding == "categorical":
            found = np.where(selected, values, NONE).max(-1)
        else:
            found = np.where(selected, values, 0).sum(-1) / np.maximum(count, 1)
        return found
