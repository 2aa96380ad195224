"""Hidden units: tables, conjunctions, thresholds and sums (section 3, read backwards)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.rasp.decompiling.blocks import Piece, arranged, components
from engine.rasp.decompiling.circuits import Circuits
from engine.rasp.decompiling.parts import NONE, Bools, Floats, Part
from engine.rasp.value_sets import ValueSet

TOUCH = 1e-5  # of a unit's weights: what is less is rounding


@dataclass
class _Layer:
    """The readings of all units of one layer."""

    layer: int
    parts: list[Part]
    rows: Floats  # W_out
    into: Floats  # length of a unit's input weights
    one: Floats
    bos: Floats
    readings: list[Floats]  # per part [codes, units]
    touched: Bools  # [part, unit]

    @property
    def half(self) -> int:
        return 2 * self.layer + 1

    def read_by(self, units: Sequence[int]) -> list[int]:
        found: list[int] = np.flatnonzero(self.touched[:, list(units)].any(1)).tolist()
        return found


def read_mlp(c: Circuits, layer: int, parts: list[Part]) -> tuple[list[Part], list[str]]:
    """The s-ops that the layer's units compute, and a sentence per group of units that could not be read.

    May add a part of kind "Nothing" to `parts`."""
    w_in, rows = c.into[layer], c.out[layer]
    into, out = np.linalg.norm(w_in, axis=0), np.linalg.norm(rows, axis=1)
    scale = np.where(into > 0, into, 1)
    readings = [p.vectors @ w_in for p in parts]
    for reading in readings:
        reading[np.abs(reading) <= TOUCH * scale * 2] = 0
    one, bos = c.one @ w_in, (c.bos - c.one) @ w_in
    one[np.abs(one) <= TOUCH * scale * 2] = 0
    bos[np.abs(bos) <= TOUCH * scale * 2] = 0
    touched = np.array([(reading != 0).any(0) for reading in readings])
    f = _Layer(layer, parts, rows, into, one, bos, readings, touched)
    active = np.flatnonzero(out > 1e-6)
    found: list[Part] = []
    notes: list[str] = []
    pieces: dict[tuple[int, ...], list[Piece]] = {}
    for members in components(rows[active]):
        units = active[members].tolist()
        try:
            _read_component(c, f, units, found, pieces)
        except _UnreadError as error:
            notes.append(f"units {_ranges(units)} of mlp{layer} {error}")
    for reads, some in pieces.items():
        sizes = [len(_inputs(parts[i])) for i in reads]
        inputs = int(np.prod(sizes))
        blocks, certain = arranged(some, inputs, c, f.half)
        for block in blocks:
            part = _block(reads, block, inputs, sizes, f)
            if not certain:
                part.notes.append("its units could also be shared out otherwise between the maps of the same s-op")
            found.append(part)
    found.sort(key=lambda p: p.units)
    return found, notes


class _UnreadError(Exception):
    pass


def _read_component(
    c: Circuits, f: _Layer, units: list[int], found: list[Part], pieces: dict[tuple[int, ...], list[Piece]]
) -> None:
    parts = f.parts
    working = [u for u in units if not (f.bos[u] > 0 and not f.touched[:, u].any() and f.one[u] == 0)]
    if not working:  # cleans the beginning of the sequence, where nothing else does anything
        return
    reads = f.read_by(working)
    coded = [i for i in reads if parts[i].encoding == "categorical"]
    numbers = [i for i in reads if parts[i].encoding == "numerical"]
    if coded and numbers:
        raise _UnreadError("mix one-hot directions and numbers")
    if numbers or not reads:
        _read_scalar(c, f, units, working, numbers, found, pieces)
        return
    counts = f.touched[:, working].sum(0)
    if (counts == 2).all():
        _read_conjunctions(f, working, pieces)
    elif len(coded) == 1 and not f.one[working].any():
        _read_lookup(c, f, working, coded[0], found, pieces)
    else:
        raise _UnreadError(f"read {len(coded)} s-ops in a way that is no operation")


def _read_conjunctions(f: _Layer, units: list[int], pieces: dict[tuple[int, ...], list[Piece]]) -> None:
    by_pair: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for u in units:
        pair = tuple(np.flatnonzero(f.touched[:, u]).tolist())
        x, y = f.readings[pair[0]][:, u], f.readings[pair[1]][:, u]
        on = np.flatnonzero((x[:, None] + y[None, :] + f.one[u]).ravel() > 0.5)
        if len(on) == 0:
            continue
        by_pair.setdefault(pair, []).extend((int(i), u) for i in on)
    for pair, answers in by_pair.items():
        row = f.rows[answers[0][1]]
        pieces.setdefault(pair, []).append(
            Piece({i: 0 for i, _ in answers}, row[None], tuple(sorted({u for _, u in answers})))
        )


def _read_lookup(
    c: Circuits, f: _Layer, units: list[int], x: int, found: list[Part], pieces: dict[tuple[int, ...], list[Piece]]
) -> None:
    weights = f.readings[x][:, units]
    row = f.rows[units[0]]
    binary = bool(np.all((np.abs(weights) < 1e-4) | (np.abs(weights - 1) < 1e-4)))
    if len(units) == 1 and binary and abs(float(np.linalg.norm(row)) - 1) < 1e-3 and not c.is_number(row, f.half):
        on = np.flatnonzero(weights[:, 0] > 0.5).tolist()
        pieces.setdefault((x,), []).append(Piece(dict.fromkeys(on, 0), row[None], tuple(units)))
        return
    axis = _axis(c, f.rows[units], f.half)
    amounts = np.maximum(weights, 0) @ (f.rows[units] @ axis)
    lost = bool((weights < 0).any())
    part = _number_map(f, (x,), units, axis, amounts)
    if lost:
        part.notes.append(
            "negative numbers are lost in the ReLU (the original compiler's error): the program may hold them"
        )
    found.append(part)


def _read_scalar(
    c: Circuits,
    f: _Layer,
    units: list[int],
    working: list[int],
    numbers: list[int],
    found: list[Part],
    pieces: dict[tuple[int, ...], list[Piece]],
) -> None:
    parts = f.parts
    slopes = np.array([f.readings[i][0, working] for i in numbers]).reshape(len(numbers), len(working))
    rows = f.rows[working]
    blind = [u for u in working if not f.touched[:, u].any() and f.one[u] == 0 and f.into[u] > 0]
    linear = (
        not f.one[working].any() and (np.abs(np.abs(slopes).sum(0) - 1) < 1e-4)[[u not in blind for u in working]].all()
    )
    if linear and (len(numbers) == 2 or (blind and len(numbers) <= 1) or (len(numbers) == 1 and len(working) == 4)):
        _read_sum(c, f, working, numbers, slopes, blind, found)
        return
    if len(numbers) > 1:
        raise _UnreadError(f"read {len(numbers)} numbers in a way that is no sum")
    source = numbers[0] if numbers else None
    if source is None:
        at: Floats = np.zeros(1)
    elif parts[source].kind == "Count":
        at = 1 / np.arange(1.0, c.max_len + 2)
    else:
        values = parts[source].values
        if not values:
            raise _UnreadError("read a number whose possible values are not known")
        at = np.array(values, dtype=np.float64)
    slope = slopes[0] if numbers else np.zeros(len(working))
    out = np.maximum(at[:, None] * slope + f.one[working], 0) @ rows  # [values, d_model]
    axis = _axis(c, rows, f.half)
    amounts = out @ axis
    if _parallel(rows) and (_fractional(amounts) or c.is_number(axis, f.half)):
        if source is not None and parts[source].kind == "Count":
            _count(f, source, units, amounts, axis[None], found)
            return
        part = _number_map(f, (_nothing(f) if source is None else source,), units, axis, amounts)
        if source is None:
            part.notes.append("a constant: what it reads is not in the weights")
        found.append(part)
        return
    codes, vectors = _distinct(out)
    if source is not None and parts[source].kind == "Count":
        if (codes != np.arange(len(at))).any() or len(vectors) != len(at):
            raise _UnreadError("discretise a count in a way that loses some")
        _count(f, source, units, np.arange(float(len(at))), vectors, found)
        return
    source = _nothing(f) if source is None else source
    answers = {i: int(code) for i, code in enumerate(codes) if code != NONE}
    pieces.setdefault((source,), []).append(Piece(answers, vectors, tuple(units)))


def _read_sum(
    c: Circuits,
    f: _Layer,
    working: list[int],
    numbers: list[int],
    slopes: Floats,
    blind: list[int],
    found: list[Part],
) -> None:
    axis = _axis(c, f.rows[working], f.half)
    amounts = f.rows[working] @ axis
    reads: list[int] = []
    factors: list[float] = []
    for k, i in enumerate(numbers):
        positive = np.flatnonzero(slopes[k] > 0)
        negative = np.flatnonzero(slopes[k] < 0)
        up, down = np.sort(amounts[positive]), np.sort(-amounts[negative])
        if len(up) != len(down) or np.abs(up - down).max(initial=0) > 1e-4:
            raise _UnreadError("weigh a number and its negative differently")
        reads.extend([i] * len(up))
        factors.extend(snapped(up).tolist())
    notes = []
    if blind:
        by_size = sorted(abs(float(amounts[working.index(u)])) for u in blind)
        while len(reads) < 2:
            reads.append(_nothing(f))
            factors.append(float(snapped(np.array(by_size[-1:]))[0]) if by_size else 0.0)
        notes.append("one of its arguments is a direction that nothing writes: any s-op that is always 0 fits")
    if len(reads) != 2:
        raise _UnreadError(f"add {len(reads)} numbers")
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


def _count(f: _Layer, source: int, units: list[int], amounts: Floats, vectors: Floats, found: list[Part]) -> None:
    count = f.parts[source]
    if np.abs(amounts - np.arange(len(amounts))).max() > 0.25:
        raise _UnreadError("turn a count into something else than how many")
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


def _number_map(f: _Layer, reads: tuple[int, ...], units: Sequence[int], axis: Floats, amounts: Floats) -> Part:
    amounts = snapped(amounts)
    return Part(
        "Map",
        "numerical",
        f.half,
        axis[None],
        reads,
        values=ValueSet.of(amounts.tolist()).values,
        numbers=amounts,
        layer=f.layer,
        units=tuple(units),
    )


def _block(reads: tuple[int, ...], block: list[Piece], inputs: int, sizes: list[int], f: _Layer) -> Part:
    codes = np.full(inputs, NONE)
    vectors: list[Floats] = []
    for piece in block:
        for i, code in piece.answers.items():
            codes[i] = len(vectors) + code
        vectors.extend(piece.vectors)
    return Part(
        "Map" if len(reads) == 1 else "SequenceMap",
        "categorical",
        f.half,
        np.array(vectors),
        reads,
        codes=codes.reshape(sizes),
        layer=f.layer,
        units=tuple(sorted(u for piece in block for u in piece.units)),
    )


def _inputs(part: Part) -> Sequence[Any]:
    """What a table of the part runs over: codes, or the values of a number."""
    if part.encoding == "categorical":
        return range(part.size)
    return part.values or (0.0,)


def _nothing(f: _Layer) -> int:
    f.parts.append(Part("Nothing", "numerical", -1, np.zeros((1, f.rows.shape[1])), values=(0.0,)))
    return len(f.parts) - 1


def _axis(c: Circuits, rows: Floats, half: int) -> Floats:
    """The direction in which a number is written, of length 1. Its sign: the one that values and logits read as
    positive, else that of the basis, else of most that is written."""
    lengths = np.linalg.norm(rows, axis=1)
    axis: Floats = rows[int(lengths.argmax())] / lengths.max()
    logits = axis @ c.unembed
    sign = 0.0
    if np.abs(logits).max() > 0.1:
        sign = float(np.sign(logits[np.abs(logits).argmax()]))
    for layer in range((half + 2) // 2, c.n_layers):
        if sign:
            break
        for head in range(c.n_heads):
            carried = axis @ c.v[layer][head]
            if len(carried) and np.abs(carried).max() > 0.1:
                sign = float(np.sign(carried[np.abs(carried).argmax()]))
    if not sign:
        largest = int(np.abs(axis).argmax())
        aligned = abs(abs(axis[largest]) - 1) < 1e-4
        sign = float(np.sign(axis[largest])) if aligned else float(np.sign((rows @ axis).sum()) or 1)
    return axis * sign


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


def snapped(x: Floats) -> Floats:
    """Numbers as they were before float32 rounded them: whole numbers and halves exactly, the rest to 7 digits."""
    halves = np.round(2 * x) / 2
    near = np.abs(x - halves) < 1e-4
    digits = np.array([float(f"{v:.6g}") for v in x.tolist()])
    found: Floats = np.where(near, halves, digits) + 0.0
    return found


def _ranges(units: Sequence[int]) -> str:
    found = []
    start = previous = None
    for u in [*sorted(units), None]:
        if previous is not None and u == previous + 1:
            previous = u
            continue
        if start is not None:
            found.append(str(start) if start == previous else f"{start}-{previous}")
        start = previous = u
    return ", ".join(found)
