"""Fewer residual directions than the program has values: the stream projected on its principal directions, as in the
dense models of the meta-model paper (section 6 of the reference)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from engine.rasp import forward
from engine.rasp.basis import in_basis
from engine.rasp.compiled import Array, Compiled
from sessions.errors import CallError

INPUTS = 64  # random inputs whose residual streams are decomposed
TESTED = 500  # inputs on which the result is compared


@dataclass(frozen=True)
class Fidelity:
    """What was lost."""

    kept: int
    of: int
    explained: float  # share of the squared length of the residual streams
    positions_same: float  # share of positions with the same decoded output (numbers: within 0.01)
    inputs_same: float  # share of inputs with the same output everywhere
    largest_error: float  # of a logit


def random_ids(compiled: Compiled, count: int, rng: np.random.Generator, *, full: bool = False) -> list[Array]:
    """Random inputs as token ids, grouped by length: arrays [inputs, 1 + length]. `full`: only the longest."""
    special = (compiled.bos, compiled.pad)
    vocab = np.array([i for i in range(len(compiled.tokens)) if i not in special])
    longest = compiled.domain.max_len
    lengths = np.full(count, longest) if full else rng.integers(1, longest + 1, size=count)
    groups = []
    for length in np.unique(lengths):
        rows = int((lengths == length).sum())
        drawn = vocab[rng.integers(len(vocab), size=(rows, length))]
        groups.append(np.concatenate([np.full((rows, 1), compiled.bos), drawn], axis=1))
    return groups


def principal_directions(
    compiled: Compiled, keep: int, rng: np.random.Generator
) -> tuple[Float[Array, "d_model keep"], float]:
    """The first `keep` right singular vectors of the residual streams (every half layer, every position, not centred),
    and the share of their squared length that they carry."""
    streams = [forward.run(compiled, ids, np.float64).resid for ids in random_ids(compiled, INPUTS, rng)]
    rows = np.concatenate([s.reshape(-1, compiled.d_model) for s in streams])
    _, sizes, axes = np.linalg.svd(rows.T @ rows, hermitian=True)
    return axes[:keep].T, float(sizes[:keep].sum() / max(sizes.sum(), 1e-30))


def compressed(compiled: Compiled, keep: float | int, rng: np.random.Generator) -> tuple[Compiled, Fidelity]:
    """The model with `keep` residual directions (a share of them, rounded down, where it is a float), and what it lost.

    CallError when nothing would be left, or the model has LayerNorm, which does not survive a projection.
    """
    d = compiled.d_model
    count = int(keep * d) if isinstance(keep, float) else keep
    if not 1 <= count <= d:
        raise CallError(f"{count} of {d} directions cannot be kept", "compression", f"keep 1 to {d}")
    if compiled.layer_norm:
        raise CallError("a model with LayerNorm cannot be compressed", "compression", "compress first, then add it")
    axes, explained = principal_directions(compiled, count, rng)
    small = in_basis(compiled, axes, axes.T, masks_pad=False)  # padding was never among the streams
    return small, fidelity(compiled, small, explained, rng)


def fidelity(before: Compiled, after: Compiled, explained: float, rng: np.random.Generator) -> Fidelity:
    """Both models on the same random inputs. Left out: the beginning of each, and where the program gives None (all
    logits are zero there, and which one is the largest means nothing)."""
    positions: list[Array] = []
    inputs: list[Array] = []
    worst = 0.0
    for ids in random_ids(before, TESTED, rng):
        a, b = (forward.run(c, ids).logits[:, 1:] for c in (before, after))
        worst = max(worst, float(np.abs(a - b).max()))
        right = np.abs(a - b)[..., 0] <= 0.01 if before.outputs is None else a.argmax(-1) == b.argmax(-1)
        says = np.ones_like(right) if before.outputs is None else a.max(-1) > 0.5
        positions.append(right[says])
        inputs.append((right | ~says).all(-1))
    return Fidelity(
        kept=after.d_model,
        of=before.d_model,
        explained=explained,
        positions_same=float(np.concatenate(positions).mean()) if any(map(len, positions)) else 1.0,
        inputs_same=float(np.concatenate(inputs).mean()),
        largest_error=worst,
    )
