"""Units that read numbers: steps at thresholds, which make a map of a number or turn a count into codes, and pairs of
a number and its negative, which make a sum (LinearSequenceMap)."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.rasp.decompiling.axes import axis_of, number_map, snapped
from engine.rasp.decompiling.blocks import Piece
from engine.rasp.decompiling.circuits import Circuits
from engine.rasp.decompiling.hidden_layer import HiddenLayer, UnreadError, nothing
from engine.rasp.decompiling.parts import NONE, Bools, Floats, Part


def read_numbers(
    c: Circuits,
    f: HiddenLayer,
    units: list[int],
    working: list[int],
    numbers: list[int],
    found: list[Part],
    pieces: dict[tuple[int, ...], list[Piece]],
) -> None:
    """Units that read numbers, or only the constant: a sum, a map, a count as codes or a number, or a piece of a table.

    `working`: those of `units` that do not just clean the beginning. UnreadError: it is none of these."""
    parts = f.parts
    slopes = np.array([f.readings[i][0, working] for i in numbers]).reshape(len(numbers), len(working))
    rows = f.rows[working]
    blind = [u for u in working if not f.touched[:, u].any() and f.one[u] == 0 and f.into[u] > 0]
    near = 0.1 if c.loose else 1e-4
    sighted = [u not in blind for u in working]
    linear = not f.one[working].any() and bool((np.abs(np.abs(slopes).sum(0) - 1) < near)[sighted].all())
    if c.loose:  # of numbers that are always proportional, one is left, of some other length
        linear = not f.one[working].any() and (slopes != 0).sum(0).max(initial=0) == 1
    if linear and (len(numbers) == 2 or (blind and len(numbers) <= 1) or (len(numbers) == 1 and _doubled(slopes))):
        _read_sum(c, f, working, numbers, slopes, blind, found)
        return
    if len(numbers) > 1:
        raise UnreadError(f"read {len(numbers)} numbers in a way that is no sum")
    source = numbers[0] if numbers else None
    if source is None:
        at: Floats = np.zeros(1)
    elif parts[source].kind == "Count":
        at = 1 / np.arange(1.0, c.max_len + 2)
    else:
        values = parts[source].values
        if not values:
            raise UnreadError("read a number whose possible values are not known")
        at = np.array(values, dtype=np.float64)
    slope = slopes[0] if numbers else np.zeros(len(working))
    out = np.maximum(at[:, None] * slope + f.one[working], 0) @ rows  # [values, d_model]
    axis = axis_of(c, rows, f.half)
    amounts = out @ axis
    if _parallel(rows) and (_fractional(amounts) or c.is_number(axis, f.half)):
        if source is not None and parts[source].kind == "Count":
            _count(c, f, source, units, amounts, axis[None], found)
            return
        part = number_map(f, (nothing(f) if source is None else source,), units, axis, amounts, c)
        if source is None:
            part.notes.append("a constant: what it reads is not in the weights")
        found.append(part)
        return
    codes, vectors = _distinct(out)
    if source is not None and parts[source].kind == "Count":
        seen = _seen_counts(c, source)
        if codes[seen].min() < 0 or len(set(codes[seen].tolist())) != int(seen.sum()):
            raise UnreadError("discretise a count in a way that loses some")
        _count(c, f, source, units, np.arange(float(len(at))), np.where(seen[:, None], out, 0), found)
        return
    source = nothing(f) if source is None else source
    answers = {i: int(code) for i, code in enumerate(codes) if code != NONE}
    pieces.setdefault((source,), []).append(Piece(answers, vectors, tuple(units)))


def _doubled(slopes: Floats) -> bool:
    """Whether one number is read twice with the same sign: both arguments of a sum are that number."""
    return bool((slopes > 0).sum() == 2 or (slopes < 0).sum() == 2)


def _read_sum(
    c: Circuits,
    f: HiddenLayer,
    working: list[int],
    numbers: list[int],
    slopes: Floats,
    blind: list[int],
    found: list[Part],
) -> None:
    axis = axis_of(c, f.rows[working], f.half)
    amounts = f.rows[working] @ axis
    reads: list[int] = []
    factors: list[float] = []
    for k, i in enumerate(numbers):
        positive = np.flatnonzero(slopes[k] > 0)
        negative = np.flatnonzero(slopes[k] < 0)
        up = np.sort(amounts[positive] * slopes[k, positive])
        down = np.sort(amounts[negative] * slopes[k, negative])
        if c.loose and not (len(up) and len(down)):  # the other is never on
            up = down = np.concatenate([up, down])
        if len(up) != len(down) or np.abs(up - down).max(initial=0) > (0.1 if c.loose else 1e-4):
            raise UnreadError("weigh a number and its negative differently")
        reads.extend([i] * len(up))
        factors.extend(snapped(up, 0.05 if c.loose else 1e-4).tolist())
    notes = []
    if blind:
        by_size = sorted(abs(float(amounts[working.index(u)])) for u in blind)
        while len(reads) < 2:
            reads.append(nothing(f))
            factors.append(float(snapped(np.array(by_size[-1:]))[0]) if by_size else 0.0)
        notes.append("one of its arguments is a direction that nothing writes: any s-op that is always 0 fits")
    if len(reads) != 2:
        raise UnreadError(f"add {len(reads)} numbers")
    parts = f.parts
    values = None
    known = [parts[i].values for i in reads]
    if known[0] and known[1]:
        x, y = (np.array(k, dtype=np.float64) for k in known)
        sums = np.unique((factors[0] * x[:, None] + factors[1] * y[None, :]).round(9))
        values = tuple(sums.tolist())
    found.append(
        Part(
            "LinearSequenceMap",
            "numerical",
            f.half,
            axis[None],
            (reads[0], reads[1]),
            values=values,
            factors=(factors[0], factors[1]),
            layer=f.layer,
            units=tuple(working),
            notes=notes,
        )
    )


def _seen_counts(c: Circuits, source: int) -> Bools:
    """Which counts occur."""
    if not c.loose:
        return np.ones(c.max_len + 1, dtype=bool)
    counts = np.round(1 / c.simulation.column(source) - 1).astype(np.intp)
    return np.bincount(counts, minlength=c.max_len + 1) > 0


def _count(
    c: Circuits, f: HiddenLayer, source: int, units: list[int], amounts: Floats, vectors: Floats, found: list[Part]
) -> None:
    count = f.parts[source]
    if np.abs(amounts - np.arange(len(amounts)))[_seen_counts(c, source)].max() > 0.25:
        raise UnreadError("turn a count into something else than how many")
    found.append(
        Part(
            "SelectorWidth",
            "categorical" if len(vectors) > 1 else "numerical",
            f.half,
            vectors,
            count.reads,
            values=tuple(range(len(amounts))),
            matches=count.matches,
            head=count.head,
            layer=f.layer,
            units=tuple(units),
            notes=list(count.notes),
        )
    )


def _parallel(rows: Floats) -> bool:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1)
    return bool((np.abs(unit @ unit[0]) > 0.999).all())


def _fractional(amounts: Floats) -> bool:
    return bool((np.minimum(np.abs(amounts), np.abs(amounts - 1)) > 1e-2).any())


def _distinct(out: Floats) -> tuple[np.ndarray[Any, Any], Floats]:
    """Codes of vectors in the order in which they appear; NONE for the zero vector."""
    vectors: list[Floats] = []
    codes = np.full(len(out), NONE)
    for i, row in enumerate(out):
        if np.abs(row).max() < 1e-2:
            continue
        for code, other in enumerate(vectors):
            if np.abs(row - other).max() < 1e-2:
                codes[i] = code
                break
        else:
            codes[i] = len(vectors)
            vectors.append(row)
    return codes, np.array(vectors).reshape(len(vectors), out.shape[1])
