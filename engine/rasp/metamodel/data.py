"""What a meta-model learns from: models as weights and programs as tokens, in memory, a batch made where it is used.

A compiled model has a few hundred weights that are not zero among thousands, so only those are kept, transformed, with
their places; a batch is scattered from them on the device that trains.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.rasp.compiled import Compiled, Domain
from engine.rasp.metamodel.architecture import Size
from engine.rasp.sampling.flatten import Sizes, flatten, scaled
from engine.rasp.sampling.shard import SPLITS, Made, Plan, Shard, Split, make
from engine.rasp.sampling.shard import decode as decode_shard

Array = np.ndarray[Any, np.dtype[Any]]
Progress = Callable[[int, int, str], None]

MOST_AHEAD = 16  # shards in the works at a time
BARREN = 16  # shards one after another that bring nothing new: there are no more such programs


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where datapoints come from. Whether a program is for training, validation or the test depends on its tokens
    alone, so that programs drawn later, from the same plan, can be held to the same split."""

    plan: Plan
    dense: float | None = None  # rotated and compressed to this share of the directions; None: as compiled
    folder: str = ""  # a dataset on disk

    @property
    def domain(self) -> Domain:
        return Domain(tuple(range(self.plan.vocab_size)), self.plan.max_len)


class Row(NamedTuple):
    """A datapoint: the weights that are not zero, transformed, and their places; the program's tokens."""

    places: Array
    values: Array
    weights: int  # with zeros
    tokens: tuple[int, ...]
    length: int  # of the program, tokens and indices counted


def fitting(rows: Sequence[Row], size: Size) -> list[Row]:
    """Those that a meta-model of that size can read and write."""
    return [row for row in rows if row.weights <= size.m and len(row.tokens) <= size.r]


class Corpus:
    """Datapoints in memory; those that do not fit are left out (`dropped` counts them)."""

    def __init__(self, rows: Sequence[Row], size: Size, *, device: str = "cpu") -> None:
        self.size = size
        kept = fitting(rows, size)
        self.dropped, self.rows = len(rows) - len(kept), len(kept)
        self.tokens_of = [row.tokens for row in kept]
        self.lengths = np.array([row.length for row in kept], dtype=np.int64)
        tokens = np.zeros((len(kept), size.r), dtype=np.int64)
        for into, row in zip(tokens, kept):
            into[: len(row.tokens)] = row.tokens
        self.counts = np.array([len(row.tokens) for row in kept], dtype=np.int64)

        def on(array: Array) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        self.device = device
        self._tokens = on(tokens)
        self._weights = on(np.array([row.weights for row in kept], dtype=np.int64))
        self._offsets = on(np.cumsum([0, *(len(row.places) for row in kept)], dtype=np.int64))
        self._places = on(np.concatenate([np.zeros(0, np.int32), *(row.places.astype(np.int32) for row in kept)]))
        self._values = on(np.concatenate([np.zeros(0, np.float32), *(row.values for row in kept)]))

    def __len__(self) -> int:
        return self.rows

    def batch(self, which: Array) -> tuple[Float[Tensor, "batch pieces d"], Int[Tensor, "batch pos"]]:
        """Weights and program tokens; the tokens end where the longest program of the batch does, PAD is 0."""
        size = self.size
        longest = int(self.counts[which].max())
        at = torch.from_numpy(np.asarray(which, dtype=np.int64)).to(self.device)
        begin, end = self._offsets[at], self._offsets[at + 1]
        count = end - begin
        row = torch.repeat_interleave(torch.arange(len(at), device=self.device), count)
        first = torch.cumsum(count, 0) - count
        entry = torch.arange(len(row), device=self.device) + (begin - first)[row]
        beyond = torch.arange(size.m, device=self.device) >= self._weights[at][:, None]
        dense = beyond * size.padding
        dense[row, self._places[entry].long()] = self._values[entry]
        return dense.view(len(at), size.pieces, size.d), self._tokens[at, :longest]


def row_of(vector: Float[np.ndarray, " weights"], tokens: Sequence[int], length: int) -> Row:
    """A datapoint from flattened weights."""
    places = np.flatnonzero(vector)
    return Row(places, scaled(vector[places]), len(vector), tuple(tokens), length)


def rows_of(shard: Shard, which: Iterable[int]) -> list[Row]:
    """Datapoints of a shard."""
    a = shard.arrays
    values = scaled(a["weight_values"])
    found = []
    for i in which:
        part = slice(int(a["weight_offsets"][i]), int(a["weight_offsets"][i + 1]))
        sizes: Sizes = shard.sizes(i)
        found.append(Row(a["weight_places"][part], values[part], sizes.weights, shard.tokens(i), int(a["length"][i])))
    return found


class Drawn(NamedTuple):
    """Datapoints by split, and what drawing them took."""

    rows: dict[Split, list[Row]]
    draws: int


def draw(
    source: Source,
    n: int,
    *,
    splits: Sequence[Split] = SPLITS,
    first_shard: int = 0,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Drawn:
    """n different datapoints of the wanted splits, or as many as there are, made now: sampled, compiled, flattened.

    The result depends on the source, n, the splits and the first shard alone.
    """
    plan = source.plan
    rows: dict[Split, list[Row]] = {split: [] for split in splits}
    seen: set[int] = set()
    count = barren = draws = 0
    shards = _shards(plan, first_shard, executor)
    for made in shards:
        shard = decode_shard(made.data, plan)
        draws += plan.shard_size
        chosen: dict[Split, list[int]] = {split: [] for split in splits}
        before = count
        for i, (key, which) in enumerate(zip(shard.arrays["key"].tolist(), shard.arrays["split"].tolist())):
            split = SPLITS[which]
            if key not in seen and split in chosen and count < n:
                seen.add(key)
                chosen[split].append(i)
                count += 1
        for split, some in chosen.items():
            rows[split] += _made_dense(shard, some, source) if source.dense else rows_of(shard, some)
        if progress is not None:
            progress(count, n, "programs")
        barren = 0 if count > before else barren + 1
        if count >= n or barren >= BARREN:
            break
    shards.close()
    return Drawn(rows, draws)


def _shards(plan: Plan, first: int, executor: Executor | None) -> Generator[Made, None, None]:
    """Shards in their order, without end; ever more of them are in the works, as it may be over soon."""
    if executor is None:
        for number in itertools.count(first):
            yield make(plan, number)
        return
    waiting: list[Future[Made]] = []
    submitted = 0
    try:
        for taken in itertools.count():
            while submitted < taken + min(2 + taken, MOST_AHEAD):
                waiting.append(executor.submit(make, plan, first + submitted))
                submitted += 1
            yield waiting.pop(0).result()
    finally:
        for future in waiting:
            future.cancel()


def load(source: Source, split: Split, progress: Progress | None = None) -> list[Row]:
    """The datapoints of a split of the dataset in the source's folder."""
    from engine.rasp.sampling.dataset import Dataset

    found = Dataset(Path(source.folder), split)
    rows = []
    for shard, some in found.by_shard():
        rows += _made_dense(shard, some, source) if source.dense else rows_of(shard, some)
        if progress is not None:
            progress(len(rows), len(found), f"{split} programs")
    return rows


def compiled_of(tokens: Sequence[int], source: Source) -> Compiled:
    """The model of a token sequence as the source has it. A rotation depends on the program and the plan's seed."""
    from engine.rasp.compiler import compile_program
    from engine.rasp.compression import compressed
    from engine.rasp.rotation import rotated
    from engine.rasp.sampling.tokens import detokenise

    compiled = compile_program(detokenise(tokens), source.domain)
    if not source.dense:
        return compiled
    rng = np.random.default_rng([source.plan.seed, *tokens])
    return compressed(rotated(compiled, rng), source.dense, rng)[0]


def _made_dense(shard: Shard, which: Sequence[int], source: Source) -> list[Row]:
    """The same programs, compiled again, rotated and compressed."""
    found = []
    for i in which:
        tokens = shard.tokens(i)
        found.append(row_of(flatten(compiled_of(tokens, source)), tokens, int(shard.arrays["length"][i])))
    return found
