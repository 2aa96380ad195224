"""The hidden states a network visits, gathered into clusters that behave as states of a finite automaton.

Two steps. `explore` walks the tree of input prefixes, level by level (prefixes that lead to the very same hidden state
are one point), and keeps for every point and input the point it leads to and the rounded output. `cluster` groups the
points by distance and asks that the grouping be consistent: each (cluster, input) leads into one cluster and gives one
output. Where it is not, clusters are split until it is. Points of all times count alike; h_0 is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from engine.models.protocols import RecurrentModel
from sessions.errors import IwbError

Symbols = Sequence[tuple[int, ...]]


class Explored(NamedTuple):
    """Visited hidden states (points) and what follows them. Point 0 is h_0.

    `successor` and `outputs` are -1 / 0 where the walk stopped (`known` is False there).
    """

    hidden: Float[np.ndarray[Any, Any], "point hidden"]
    time: Int[np.ndarray[Any, Any], " point"]  # how many inputs were read: the shortest way there
    successor: Int[np.ndarray[Any, Any], "point symbol"]
    outputs: Int[np.ndarray[Any, Any], "point symbol output"]
    known: np.ndarray[Any, np.dtype[np.bool_]]  # (point,)
    whole: bool  # every prefix up to the length was followed


class Clusters(NamedTuple):
    """Points in groups. Cluster 0 holds h_0; clusters are numbered in the order the walk meets them."""

    label: Int[np.ndarray[Any, Any], " point"]
    representative: Int[np.ndarray[Any, Any], " cluster"]  # a point of each cluster: the first one met
    tolerance: float  # points this near a cluster's first point belong to it
    split: int  # how many clusters came from splitting inconsistent ones


def ask(
    model: RecurrentModel, hidden: Float[np.ndarray[Any, Any], "point hidden"], symbol: tuple[int, ...]
) -> tuple[Float[np.ndarray[Any, Any], "point hidden"], Int[np.ndarray[Any, Any], "point output"]]:
    """One step of the network from each hidden state on one input: the next hidden states and the rounded outputs."""
    h = torch.as_tensor(hidden)
    x = torch.tensor([symbol], dtype=h.dtype).expand(len(h), -1)
    after = model.step(h, x)
    kept = torch.float64 if after.dtype == torch.float64 else torch.float32  # numpy has no bfloat16
    return after.to("cpu", kept).numpy(), model.readout(after).round().to("cpu", torch.int64).numpy()


def explore(
    model: RecurrentModel,
    symbols: Symbols,
    length: int,
    *,
    most: int = 2_000_000,
    rng: np.random.Generator | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Explored:
    """All hidden states on all input sequences of up to `length` inputs, or a sample of at most `most` of them.

    Where a level would hold too many, a random part of it is followed (`rng`). Raises IwbError when the network's
    states stop being finite numbers.
    """
    hidden = [np.zeros((1, model.hidden), dtype=np.float32)]
    times, successors, outputs, knowns = [np.zeros(1, dtype=np.int64)], [], [], []
    first, whole = 0, True  # index of the level's first point
    budget = max(most // max(length, 1), len(symbols))
    for t in range(length):
        level = hidden[-1]
        follow = np.ones(len(level), dtype=bool)
        room = (
            budget // len(symbols) if (len(level) * len(symbols) > budget and most < _tree(symbols, length)) else None
        )
        if room is not None and rng is not None and room < len(level):
            whole = False
            follow[:] = False
            follow[rng.choice(len(level), size=max(room, 1), replace=False)] = True
        asked = [ask(model, level[follow], symbol) for symbol in symbols]
        reached = np.concatenate([after for after, _ in asked])
        if not np.isfinite(reached).all():
            raise IwbError(f"the hidden state is not finite after {t + 1} inputs", remedy="the network is not usable")
        # Prefixes that reach the very same numbers are one point from here on: nothing can tell them apart.
        fresh, position = np.unique(reached, axis=0, return_inverse=True)
        first_seen = np.full(len(fresh), len(reached))
        np.minimum.at(first_seen, position.reshape(-1), np.arange(len(reached)))
        order = np.argsort(first_seen)  # in the order of the walk, not of the numbers
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        next_first = first + len(level)
        successor = np.full((len(level), len(symbols)), -1, dtype=np.int64)
        successor[follow] = (next_first + rank[position.reshape(-1)]).reshape(len(symbols), -1).T
        output = np.zeros((len(level), len(symbols), model.outputs), dtype=np.int64)
        output[follow] = np.stack([y for _, y in asked], axis=1)
        successors.append(successor)
        outputs.append(output)
        knowns.append(follow)
        hidden.append(fresh[order])
        times.append(np.full(len(fresh), t + 1))
        first = next_first
        if progress is not None:
            progress(t + 1, length)
    last = len(hidden[-1])
    successors.append(np.full((last, len(symbols)), -1, dtype=np.int64))
    outputs.append(np.zeros((last, len(symbols), model.outputs), dtype=np.int64))
    knowns.append(np.zeros(last, dtype=bool))
    return Explored(
        np.concatenate(hidden),
        np.concatenate(times),
        np.concatenate(successors),
        np.concatenate(outputs),
        np.concatenate(knowns),
        whole,
    )


def _tree(symbols: Symbols, length: int) -> int:
    return int(sum(len(symbols) ** t for t in range(length + 1)))


def cluster(
    explored: Explored,
    *,
    tolerance: float | None = None,
    most: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Clusters:
    """The coarsest consistent clustering by distance, or the one at `tolerance` with inconsistent clusters split.

    Without a tolerance, halves of the states' extent are tried, from the largest; the first consistent one is taken. If
    none is, the largest one that can be split into at most `most` consistent clusters is. Raises IwbError when there is
    none.
    """
    extent = float(np.ptp(explored.hidden, axis=0).max())
    scale = extent if extent > 0 else 1.0
    candidates = [tolerance] if tolerance is not None else [scale * 2.0**-k for k in range(1, 15)]
    grouped = []
    for tried, radius in enumerate(candidates):
        if progress is not None:
            progress(tried, len(candidates))
        label = _by_distance(explored.hidden, radius, most)
        if label is None:
            break  # smaller radii give more clusters still
        if consistent(explored, label):
            return _numbered(explored, label, radius, 0)
        grouped.append((radius, label))
    for radius, label in grouped:
        split = _split(explored, label, most)
        if split is not None:
            return _numbered(explored, split, radius, int(split.max() - label.max()))
    raise IwbError(
        f"the hidden states do not fall into at most {most} consistent clusters",
        "synthesis",
        "raise max_states, give a smaller tolerance, or shorten length",
    )


def apart(explored: Explored) -> Clusters:
    """Every visited hidden state a cluster of its own: what is left when distance tells nothing."""
    every = np.arange(len(explored.hidden))
    return Clusters(every, every, 0.0, 0)


def consistent(explored: Explored, label: Int[np.ndarray[Any, Any], " point"]) -> bool:
    """Whether each (cluster, input) leads into one cluster and gives one output, over all followed points."""
    behaviour = _behaviour(explored, label)
    example = np.zeros(int(label.max()) + 1, dtype=np.int64)
    example[behaviour[::-1, 0]] = np.arange(len(behaviour))[::-1]  # the first followed point of each cluster
    return bool((behaviour == behaviour[example[behaviour[:, 0]]]).all())


def _behaviour(
    explored: Explored, label: Int[np.ndarray[Any, Any], " point"]
) -> Int[np.ndarray[Any, Any], "known column"]:
    """Per followed point: its cluster, the clusters it leads to, its outputs."""
    known = explored.known
    return np.concatenate(
        [label[known, None], label[explored.successor[known]], explored.outputs[known].reshape(known.sum(), -1)], axis=1
    )


def _by_distance(
    hidden: Float[np.ndarray[Any, Any], "point hidden"], radius: float, most: int
) -> Int[np.ndarray[Any, Any], " point"] | None:
    """Each point joins the first earlier centre within `radius`, or becomes one; None when there are too many."""
    label = np.full(len(hidden), -1)
    rest = np.arange(len(hidden))
    for number in range(most):
        near = np.linalg.norm(hidden[rest] - hidden[rest[0]], axis=1) <= radius
        label[rest[near]] = number
        rest = rest[~near]
        if not len(rest):
            return label
    return None


def _split(
    explored: Explored, label: Int[np.ndarray[Any, Any], " point"], most: int
) -> Int[np.ndarray[Any, Any], " point"] | None:
    """Split clusters whose points behave differently, until none does; points not followed go to the nearest part."""
    hidden, known = explored.hidden, explored.known
    while not consistent(explored, label):
        parts, fine = np.unique(_behaviour(explored, label), axis=0, return_inverse=True)
        if len(parts) > most:
            return None
        fresh = np.full(len(label), -1)
        fresh[known] = fine.reshape(-1)
        centres = np.stack([hidden[known][fine.reshape(-1) == k].mean(axis=0) for k in range(len(parts))])
        for old in np.unique(label[~known]):
            loose = ~known & (label == old)
            mine = np.flatnonzero(parts[:, 0] == old)
            if not len(mine):  # a cluster of points none of which was followed stays one
                fresh[loose] = len(parts) + old
                continue
            distance = np.linalg.norm(hidden[loose][:, None] - centres[mine][None], axis=2)
            fresh[loose] = mine[distance.argmin(axis=1)]
        label = np.unique(fresh, return_inverse=True)[1].reshape(-1)
    return label


def _numbered(explored: Explored, label: Int[np.ndarray[Any, Any], " point"], radius: float, split: int) -> Clusters:
    """Clusters renumbered in the order of their first points; a followed point represents where there is one."""
    clusters, first = np.unique(label, return_index=True)
    order = np.argsort(first)
    rank = np.empty(int(clusters.max()) + 1, dtype=np.int64)
    rank[clusters[order]] = np.arange(len(order))
    numbered = rank[label]
    representative = first[order]
    for number in np.flatnonzero(~explored.known[representative]):
        followed = np.flatnonzero((numbered == number) & explored.known)
        if len(followed):
            representative[number] = followed[0]
    return Clusters(numbered, representative, radius, split)
