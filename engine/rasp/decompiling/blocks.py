"""Which hidden units belong together. Units of lookups and conjunctions share nothing but what they read, so two maps
of one s-op in one layer are a puzzle: every block answers each input once, and its outputs are read by the same heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def components(rows: Floats) -> list[list[int]]:
    """Groups of rows that are connected by not being orthogonal, each in rising order."""
    length = np.linalg.norm(rows, axis=1)
    unit = rows / np.where(length > 0, length, 1)[:, None]
    near = np.abs(unit @ unit.T) > 1e-2
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
    usage = c.usage(np.concatenate([p.vectors[:1] for p in pieces]), half)
    readers = [
        (usage.keys[i].tobytes(), usage.values[i].tobytes(), bool(usage.logits[i])) for i in range(len(pieces))
    ]
    silent = (bytes(usage.keys.shape[1]), bytes(usage.values.shape[1]), False)
    joint = (np.abs(usage.ones + 1) < 1e-3) & (np.abs(usage.lengths - 3) < 1e-2)
    together = (np.abs(usage.units[:, joint] - 1) < 1e-3).astype(np.float64)
    apart: Bools = together @ together.T > 0
    tries = 0

    def order(piece: int, others: Sequence[int]) -> list[int]:
        def distance(other: int) -> tuple[int, int]:
            same = readers[other] == readers[piece]
            return (0 if same else 1 if readers[other] == silent else 2), abs(other - piece)

        return sorted(others, key=distance)

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
        for other in order(block[0], [i for i in rest if i not in block]):
            if masks[other] & mask or any(apart[other, i] for i in block):
                continue
            found = complete([*block, other], mask | masks[other], rest)
            if found is not None:
                return found
        return None

    found = complete([0], masks[0], list(range(len(pieces))))
    if found is None:
        found = []
        for i in range(len(pieces)):
            for block in order_blocks(i, found, readers):
                if not any(masks[i] & masks[j] or apart[i, j] for j in block):
                    block.append(i)
                    break
            else:
                found.append([i])
    certain = all(len({readers[i] for i in block}) == 1 for block in found) and len(
        {readers[block[0]] for block in found}
    ) == len(found)
    return [[pieces[i] for i in block] for block in found], certain


def order_blocks(i: int, blocks: list[list[int]], readers: Sequence[object]) -> list[list[int]]:
    return sorted(blocks, key=lambda block: (readers[block[0]] != readers[i], abs(block[-1] - i)))


def _mask(piece: Piece) -> int:
    mask = 0
    for i in piece.answers:
        mask |= 1 << i
    return mask
