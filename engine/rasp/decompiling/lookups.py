"""Units that read codes: a lookup has a unit per value of one s-op, a conjunction a unit per pair of values of two.
Pieces of such tables, and the tables that blocks of pieces make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.rasp.decompiling.axes import axis_of, number_map
from engine.rasp.decompiling.blocks import Piece
from engine.rasp.decompiling.circuits import Circuits
from engine.rasp.decompiling.hidden_layer import HiddenLayer, numbers_of
from engine.rasp.decompiling.parts import NONE, UNSEEN, Floats, Part


def read_conjunctions(f: HiddenLayer, units: list[int], pieces: dict[tuple[int, ...], list[Piece]]) -> None:
    """Adds to `pieces` which pairs of codes turn the units on; each unit reads two s-ops."""
    by_pair: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for u in units:
        pair = tuple(np.flatnonzero(f.touched[:, u]).tolist())
        x, y = f.readings[pair[0]][:, u], f.readings[pair[1]][:, u]
        on = np.flatnonzero((x[:, None] + y[None, :] + f.one[u]).ravel() > 0.5)
        if len(on) == 0:
            continue
        by_pair.setdefault(pair, []).extend((int(i), u) for i in on)
    for pair, answers in by_pair.items():
        inputs = {i for i, _ in answers}
        times = len(answers) / len(inputs)  # s-ops that are always equal are one in a projected stream
        row = times * f.rows[answers[0][1]]
        pieces.setdefault(pair, []).append(
            Piece(dict.fromkeys(inputs, 0), row[None], tuple(sorted({u for _, u in answers})), max(1, round(times)))
        )


def read_lookup(
    c: Circuits, f: HiddenLayer, units: list[int], x: int, found: list[Part], pieces: dict[tuple[int, ...], list[Piece]]
) -> None:
    """Units that read codes of part `x` alone: a piece of a table, or a number that is found at once."""
    weights = f.readings[x][:, units] + (f.one[units] if c.loose else 0)
    row = f.rows[units].sum(0) if c.loose else f.rows[units[0]]
    near = 0.15 if c.loose else 1e-4
    binary = bool(np.all((np.abs(weights) < near) | (np.abs(weights - 1) < near)))
    plain = c.loose or abs(float(np.linalg.norm(row)) - 1) < 1e-3
    same = len(units) == 1 or bool(
        c.loose and np.ptp(weights, axis=1).max() < near and np.ptp(f.rows[units], axis=0).max() < near
    )
    if same and binary and plain and (len(units) > 1 or not c.is_number(row, f.half)):
        on = np.flatnonzero(weights[:, 0] > 0.5).tolist()
        pieces.setdefault((x,), []).append(Piece(dict.fromkeys(on, 0), row[None], tuple(units), len(units)))
        return
    axis = axis_of(c, f.rows[units], f.half)
    amounts = np.maximum(weights, 0) @ (f.rows[units] @ axis)
    lost = bool((weights < 0).any())
    part = number_map(f, (x,), units, axis, amounts, c)
    if lost:
        part.notes.append(
            "negative numbers are lost in the ReLU (the original compiler's error): the program may hold them"
        )
    found.append(part)


def take_flags(
    c: Circuits, f: HiddenLayer, x: int, inputs: int, pieces: Sequence[Piece], blocks: list[list[Piece]]
) -> list[Part]:
    """Numbers that are 1 just where some other s-op has one of its values: a projected stream holds both in one
    direction. Takes blocks that are no more than such a number out of `blocks`."""
    found = []
    for piece in pieces:
        if piece.times < 2:
            continue
        alone = [block for block in blocks if len(block) == 1 and block[0].answers == piece.answers]
        used = sum(other.answers == piece.answers for block in blocks for other in block)
        lonely = bool(alone) and len(piece.answers) < inputs
        if lonely:
            blocks[:] = [block for block in blocks if block not in alone]
        elif used >= piece.times:
            continue
        amounts = np.array([float(i in piece.answers) for i in range(inputs)])
        part = number_map(f, (x,), piece.units, piece.vectors[0], amounts, c)
        if not lonely:
            part.vectors = np.zeros_like(part.vectors)
        found.append(part)
    return found


def block_part(reads: tuple[int, ...], block: list[Piece], inputs: int, sizes: list[int], f: HiddenLayer) -> Part:
    """The table that a block of pieces makes; output codes in the order of the pieces."""
    codes = np.full(inputs, NONE)
    vectors: list[Floats] = []
    for piece in block:
        for i, code in piece.answers.items():
            codes[i] = len(vectors) + code
        vectors.extend(np.zeros_like(piece.vectors) if piece.shadow else piece.vectors)
    return Part(
        "Map" if len(reads) == 1 else "SequenceMap",
        "categorical",
        f.half,
        np.array(vectors).reshape(-1, f.rows.shape[1]),
        reads,
        codes=codes.reshape(sizes),
        inputs=numbers_of(f.parts[reads[0]]),
        layer=f.layer,
        units=tuple(sorted(u for piece in block for u in piece.units)),
    )


def forget_unseen(c: Circuits, part: Part, sizes: list[int]) -> None:
    """Marks the inputs of the table that do not occur, and drops the codes that are theirs alone."""
    assert part.codes is not None
    counts = c.simulation.occurrences(part, sizes).reshape(part.codes.shape)
    codes = np.where(counts > 0, part.codes, UNSEEN)
    kept = np.unique(codes[codes >= 0])
    renumbered = np.full(part.size, UNSEEN)
    renumbered[kept] = np.arange(len(kept))
    part.codes = np.where(codes >= 0, renumbered[np.maximum(codes, 0)], codes)
    part.vectors = part.vectors[kept]
