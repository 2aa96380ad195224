"""Which hidden units belong together. Units of lookups and conjunctions share nothing but what they read, so two maps
of one s-op in one layer are a puzzle: every block answers each input once, and its outputs are read by the same heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.rasp.decompiling.circuits import Circuits
from engine.rasp.decompiling.parts import Bools, Floats

MOST_TRIES = 5_000


@dataclass
class Piece:
    """Some outputs of an s-op: for input `i` in `answers`, vectors[answers[i]]."""

    answers: dict[int, int]
    vectors: Floats
    units: tuple[int, ...]
    times: int = 1  # s-ops that write these directions: in a projected stream, what is always equal is one
    shadow: bool = False  # a copy, whose vectors another piece has


def components(rows: Floats, least: Floats) -> list[list[int]]:
    """Groups of rows that are connected by a cosine (of either sign) of at least `least` [row, row], each in rising
    order."""
    length = np.linalg.norm(rows, axis=1)
    unit = rows / np.where(length > 0, length, 1)[:, None]
    near = np.abs(unit @ unit.T) > least
    group = np.full(len(rows), -1)
    found: list[list[int]] = []
    for start in range(len(rows)):
        if group[start] >= 0:
            continue
        members = np.zeros(len(rows), dtype=bool)
        members[start] = True
        while True:
            more = near[members].any(0) | members
            if (more == members).all():
                break
            members = more
        group[members] = len(found)
        found.append(np.flatnonzero(members).tolist())
    return found


def arranged(pieces: Sequence[Piece], inputs: int, c: Circuits, half: int) -> tuple[list[list[Piece]], bool]:
    """The pieces as blocks, and whether weights alone could have said so (False: several arrangements fit as well)."""
    pieces = sorted(pieces, key=lambda p: p.units[0])
    masks = [_mask(p) for p in pieces]
    total = 0
    overlap = False
    for mask in masks:
        overlap |= bool(total & mask)
        total |= mask
    if not overlap:
        return [list(pieces)], True
    vectors = np.array([p.vectors[0] for p in pieces])
    evidence = _Evidence(c, vectors, half)
    tries = 0

    def order(block: list[int], others: Sequence[int]) -> list[int]:
        return sorted(others, key=lambda other: (*evidence.distance(block[0], other), abs(other - block[-1])))

    def complete(block: list[int], mask: int, rest: list[int]) -> list[list[int]] | None:
        nonlocal tries
        tries += 1
        if tries > MOST_TRIES:
            return None
        if mask == total:
            after = [i for i in rest if i not in block]
            if not after:
                return [block]
            more = complete([after[0]], masks[after[0]], after)
            return None if more is None else [block, *more]
        for other in order(block, [i for i in rest if i not in block]):
            if masks[other] & mask or any(evidence.apart[other, i] for i in block):
                continue
            found = complete([*block, other], mask | masks[other], rest)
            if found is not None:
                return found
        return None

    found = complete([0], masks[0], list(range(len(pieces))))
    if found is None:
        found = []
        for i in range(len(pieces)):
            for block in found:
                if not any(masks[i] & masks[j] or evidence.apart[i, j] for j in block):
                    block.append(i)
                    break
            else:
                found.append([i])
    told = all(
        evidence.apart[i, j] or sum(evidence.distance(i, j)) > 0
        for at, block in enumerate(found)
        for other in found[:at]
        for i in block
        for j in other
    )
    return [[pieces[i] for i in block] for block in found], told


def arranged_with_shared(
    pieces: Sequence[Piece], inputs: int, c: Circuits, half: int
) -> tuple[list[list[Piece]], bool]:
    """Likewise where some pieces belong to several blocks: as often as makes every block whole."""
    several = [p for p in pieces if p.times > 1]
    for copies in (2, 1) if several else ():
        more = [replace(p, shadow=True) for p in several for _ in range(min(copies, p.times) - 1)]
        blocks, certain = arranged([*pieces, *more], inputs, c, half)
        sizes = {sum(len(p.answers) for p in block) for block in blocks}
        if len(sizes) == 1:
            return blocks, certain
    return arranged(pieces, inputs, c, half)


class _Evidence:
    """What later readers say of which directions are one s-op's. Keys, values and logits read all directions of an
    s-op or none; a conjunction reads one of each of two; all directions of an argument meet the same partners."""

    def __init__(self, c: Circuits, vectors: Floats, half: int) -> None:
        usage = c.usage(vectors, half)
        count = len(vectors)
        joint = (np.abs(usage.ones + 1) < 1e-3) & (np.abs(usage.lengths - 3) < 1e-2)
        pairs = (np.abs(usage.units[:, joint] - 1) < 1e-3).astype(np.float64)
        sets = (usage.units[:, ~joint] != 0).astype(np.float64)
        readers = np.concatenate([usage.keys, usage.values, usage.logits[:, None]], axis=1)
        self.apart: Bools = pairs @ pairs.T > 0
        if not c.loose:
            self.apart |= (readers[:, None] != readers[None]).any(-1)
        self.apart[np.arange(count), np.arange(count)] = False
        into = np.concatenate([np.zeros((c.d_model, 0)), *c.into[(half + 1) // 2 :]], axis=1)[:, joint]
        partners = pairs @ into.T - pairs.sum(1)[:, None] * vectors
        apart_by_partners = np.linalg.norm(partners[:, None] - partners[None], axis=-1) > 1e-2
        shared = sets @ sets.T > 0
        asked = usage.queries
        some: Bools = np.asarray(asked.any(1))
        in_common: Bools = np.asarray((asked[:, None] & asked[None]).any(-1))
        by_queries = (some[:, None] & some[None] & ~in_common) | (some[:, None] != some[None])
        self._distances = np.stack([apart_by_partners, ~shared & sets.any(), by_queries], axis=-1).astype(int)

    def distance(self, i: int, j: int) -> tuple[int, int, int]:
        partners, shared, queries = self._distances[i, j].tolist()
        return partners, shared, queries


def _mask(piece: Piece) -> int:
    mask = 0
    for i in piece.answers:
        mask |= 1 << i
    return mask
