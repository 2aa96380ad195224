"""Many programs compiled at once, over processes, and their weights as padded stacks: what a meta-model is trained on,
and what runs as one batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64

from engine.rasp.compiled import OURS, Array, Construction, Domain
from engine.rasp.compiler import compile_program
from engine.rasp.functions import Value
from engine.rasp.language import SOp
from engine.rasp.sampling.flatten import MOST_WEIGHTS, Sizes, flatten, unflatten
from sessions.errors import CallError

PIECE = 100  # programs a worker is handed at a time
MOST_CELLS = 2**29  # 2 GiB of float32


@dataclass(frozen=True)
class Stack:
    """Compiled programs, a row each. The weights are kept as their places in the layout of `flatten.flatten` and their
    values, where they are not zero: of thousands a few hundred."""

    domain: Domain
    places: Int32[np.ndarray, " cells"]
    values: Float32[np.ndarray, " cells"]
    offsets: Int64[np.ndarray, " rows+1"]  # where each row's cells begin
    sizes: tuple[Sizes, ...]
    outputs: tuple[tuple[Value, ...] | None, ...]  # by logit; None: the one logit is the number
    reads: Int64[
        np.ndarray, "rows 2"
    ]  # residual directions `start` to `stop` that the unembedding copies to the logits
    programs: tuple[int, ...]  # which of the given programs each row is
    failures: dict[int, str]  # of the others: why they are left out

    def __len__(self) -> int:
        return len(self.sizes)

    def weights(self, rows: Sequence[int]) -> Float32[np.ndarray, "rows longest"]:
        """The flattened weights of some rows, padded with zeros. CallError where that would take over 2 GiB."""
        longest = max(self.sizes[row].weights for row in rows)
        _check_cells(len(rows), len(rows) * longest)
        found = np.zeros((len(rows), longest), np.float32)
        for into, row in zip(found, rows):
            part = slice(self.offsets[row], self.offsets[row + 1])
            into[self.places[part]] = self.values[part]
        return found

    def state(self, row: int) -> dict[str, Array]:
        """One model's weights by HookedTransformer name, unpadded."""
        size = self.sizes[row]
        found = unflatten(self.weights([row])[0], size)
        start, stop = self.reads[row].tolist()
        return found | {"unembed.W_U": np.eye(size.d_model, dtype=np.float32)[:, start:stop]}

    def tensors(self, rows: Sequence[int]) -> dict[str, Float32[np.ndarray, "rows ..."]]:
        """The weights of some rows, every dimension padded with zeros to the largest among them: embed.W_E [row, token,
        d_model], pos_embed.W_pos, attn.W_Q [row, layer, head, d_model, d_head], attn.W_K, attn.W_V, attn.W_O, mlp.W_in
        [row, layer, d_model, d_mlp], mlp.W_out, unembed.W_U [row, d_model, logit].

        Padding computes nothing: the rows run as one batch. CallError where that would take over 2 GiB.
        """
        sizes = [self.sizes[row] for row in rows]
        n = len(sizes)
        layers, heads, d, d_head, d_mlp, tokens, n_ctx = (max(s[i] for s in sizes) for i in range(7))
        logits = max(int(stop - start) for start, stop in self.reads[list(rows)])
        shapes = {
            "embed.W_E": (tokens, d),
            "pos_embed.W_pos": (n_ctx, d),
            "attn.W_Q": (layers, heads, d, d_head),
            "attn.W_K": (layers, heads, d, d_head),
            "attn.W_V": (layers, heads, d, d_head),
            "attn.W_O": (layers, heads, d_head, d),
            "mlp.W_in": (layers, d, d_mlp),
            "mlp.W_out": (layers, d_mlp, d),
            "unembed.W_U": (d, logits),
        }
        _check_cells(n, n * sum(math.prod(shape) for shape in shapes.values()))
        found = {name: np.zeros((n, *shape), np.float32) for name, shape in shapes.items()}
        for i, row in enumerate(rows):
            for name, array in self.state(row).items():
                block, _, part = name.removeprefix("blocks.").partition(".")
                into = found[part][i, int(block)] if name.startswith("blocks.") else found[name][i]
                into[tuple(map(slice, array.shape))] = array
        return found


def _check_cells(rows: int, cells: int) -> None:
    if cells > MOST_CELLS:
        raise CallError(f"{rows:,} padded models have {cells:,} numbers", remedy="take fewer rows, or of like sizes")


class _Row(NamedTuple):
    """A compiled program as it crosses processes: its weights that are not zero."""

    places: Any
    values: Any
    sizes: Sizes
    outputs: tuple[Value, ...] | None
    reads: tuple[int, int]


def compile_batch(
    programs: Sequence[SOp],
    domain: Domain,
    *,
    workers: int = 1,
    construction: Construction = OURS,
    most_weights: int = MOST_WEIGHTS,
    executor: Executor | None = None,
) -> Stack:
    """The programs compiled, in `workers` processes (or on an executor of yours). A program that cannot be compiled, or
    has more than `most_weights`, is left out, with the reason among `failures`.

    CallError: none is left; a function of a program is Python's own and cannot go to another process.
    """
    pieces = [list(programs[i : i + PIECE]) for i in range(0, len(programs), PIECE)]
    made: list[_Row | str] = []
    if executor is None and workers > 1:
        # Not fork: the engine's process has threads.
        pool: Any = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    else:
        pool = nullcontext(executor)
    with pool as runs:
        if runs is None:
            for piece in pieces:
                made.extend(compile_piece(piece, domain, construction, most_weights))
        else:
            waiting = [runs.submit(compile_piece, piece, domain, construction, most_weights) for piece in pieces]
            for future in waiting:
                made.extend(future.result())
    kept = [(i, row) for i, row in enumerate(made) if isinstance(row, _Row)]
    failures = {i: row for i, row in enumerate(made) if isinstance(row, str)}
    if not kept:
        reason = next(iter(failures.values()), "there are none")
        raise CallError(f"no program is left to stack ({reason})")
    return Stack(
        domain,
        np.concatenate([row.places for _, row in kept]),
        np.concatenate([row.values for _, row in kept]),
        np.cumsum([0, *(len(row.places) for _, row in kept)]),
        tuple(row.sizes for _, row in kept),
        tuple(row.outputs for _, row in kept),
        np.array([row.reads for _, row in kept]),
        tuple(i for i, _ in kept),
        failures,
    )


def compile_piece(
    programs: Sequence[SOp], domain: Domain, construction: Construction, most_weights: int
) -> list[_Row | str]:
    """What one worker does."""
    found: list[_Row | str] = []
    for program in programs:
        try:
            compiled = compile_program(program, domain, construction)
        except CallError as error:
            found.append(str(error))
            continue
        sizes = Sizes.of(compiled)
        if sizes.weights > most_weights:
            found.append(f"it has {sizes.weights:,} weights, more than {most_weights:,}")
            continue
        weights = flatten(compiled)
        places = np.flatnonzero(weights)
        rows = np.flatnonzero(compiled.state["unembed.W_U"].any(1))
        reads = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
        found.append(_Row(places.astype(np.int32), weights[places], sizes, compiled.outputs, reads))
    return found
