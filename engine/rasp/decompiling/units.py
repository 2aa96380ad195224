"""Hidden units: tables, conjunctions, thresholds and sums (section 3, read backwards)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.rasp.decompiling.blocks import Piece, arranged_with_shared, components
from engine.rasp.decompiling.circuits import Circuits
from engine.rasp.decompiling.parts import NONE, UNSEEN, Bools, Floats, Ints, Part
from engine.rasp.value_sets import ValueSet


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
    near = c.touch * scale
    readings, one, bos = c.read(parts, w_in)
    if not c.loose:
        bos = bos - one
    for reading in readings:
        small = np.abs(reading) <= near
        reading[small.all(0) & small if c.loose else small] = 0
    one[np.abs(one) <= near] = 0
    bos[np.abs(bos) <= near] = 0
    touched = np.array([(reading != 0).any(0) for reading in readings])
    f = _Layer(layer, parts, rows, into, one, bos, readings, touched)
    # The original has one unit that cleans up after all selector widths of a layer; it makes them no group.
    cleaning = (bos > 1.5) & ~touched.any(0) & (one == 0)
    active = np.flatnonzero((out > 1e-6) & _ever_on(c, f) & ~cleaning)
    found: list[Part] = []
    notes: list[str] = []
    pieces: dict[tuple[int, ...], list[Piece]] = {}
    for members in components(rows[active], _cosines(c, f, active)):
        units = active[members].tolist()
        try:
            _read_component(c, f, units, found, pieces)
        except _UnreadError as error:
            notes.append(f"units {_ranges(units)} of mlp{layer} {error}")
    for reads, some in pieces.items():
        sizes = [len(_inputs(parts[i])) for i in reads]
        inputs = int(np.prod(sizes))
        blocks, certain = arranged_with_shared(some, inputs, c, f.half)
        if c.loose and len(reads) == 1:
            found.extend(_flags(c, f, reads[0], inputs, some, blocks))
        for block in blocks:
            part = _block(reads, block, inputs, sizes, f)
            if c.loose and part.size:
                c.simulation.extend(parts)
                _without_unseen(c, part, sizes)
            if not part.size:
                continue
            if not certain:
                part.notes.append("its units could also be shared out otherwise between the maps of the same s-op")
            found.append(part)
    found.sort(key=lambda p: p.units)
    return found, notes


def _cosines(c: Circuits, f: _Layer, active: Ints) -> Floats:
    """How alike two units' outputs must be to belong together. Exact s-ops are orthogonal; projected ones are not
    quite, but a table's units write the same direction or another one, and steps over one number hang together."""
    count = len(active)
    if not c.loose:
        return np.full((count, count), 1e-2)
    coded = np.array([p.encoding == "categorical" for p in f.parts])
    tables = f.touched[coded].any(0) & ~f.touched[~coded].any(0)
    numbers = np.concatenate([np.zeros((1, f.touched.shape[1]), dtype=bool), f.touched[~coded]])
    source = np.where(numbers.sum(0) == 1, numbers.argmax(0), -1)
    table, of = tables[active], source[active]
    least = np.full((count, count), 0.3)
    least[(of[:, None] == of[None]) & (of >= 0)[:, None]] = 0.1
    least[table[:, None] | table[None]] = 0.9
    return least


def _ever_on(c: Circuits, f: _Layer) -> Bools:
    """Units that are on for some input; with projected weights, others are about codes that do not occur."""
    if not c.loose:
        return np.ones(len(f.one), dtype=bool)
    columns = [c.simulation.column(i) for i in range(len(f.parts))]
    rows = np.unique(np.stack(columns, axis=1), axis=0)
    before = np.broadcast_to(f.one, (len(rows), len(f.one))).copy()
    for k, (part, reading) in enumerate(zip(f.parts, f.readings)):
        if part.encoding == "categorical":
            codes = rows[:, k].astype(np.intp)
            before += np.where(codes[:, None] >= 0, reading[codes], 0)
        else:
            before += rows[:, k, None] * reading
    numeric = np.array([p.encoding == "numerical" for p in f.parts])
    least = np.where(f.touched[numeric].any(0), 1e-3 * f.into, 0.3)
    on: Bools = before.max(0) > least
    return on


def _flags(
    c: Circuits, f: _Layer, x: int, inputs: int, pieces: Sequence[Piece], blocks: list[list[Piece]]
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
        part = _number_map(f, (x,), piece.units, piece.vectors[0], amounts, c)
        if not lonely:
            part.vectors = np.zeros_like(part.vectors)
        found.append(part)
    return found


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
    elif len(coded) == 1 and (c.loose or not f.one[working].any()):
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
        inputs = {i for i, _ in answers}
        times = len(answers) / len(inputs)  # s-ops that are always equal are one in a projected stream
        row = times * f.rows[answers[0][1]]
        pieces.setdefault(pair, []).append(
            Piece(dict.fromkeys(inputs, 0), row[None], tuple(sorted({u for _, u in answers})), max(1, round(times)))
        )


def _read_lookup(
    c: Circuits, f: _Layer, units: list[int], x: int, found: list[Part], pieces: dict[tuple[int, ...], list[Piece]]
) -> None:
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
    axis = _axis(c, f.rows[units], f.half)
    amounts = np.maximum(weights, 0) @ (f.rows[units] @ axis)
    lost = bool((weights < 0).any())
    part = _number_map(f, (x,), units, axis, amounts, c)
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
    near = 0.1 if c.loose else 1e-4
    sighted = [u not in blind for u in working]
    linear = not f.one[working].any() and bool((np.abs(np.abs(slopes).sum(0) - 1) < near)[sighted].all())
    if c.loose:  # of numbers that are always proportional, one is left, of some other length
        linear = not f.one[working].any() and (slopes != 0).sum(0).max(initial=0) == 1
    if linear and (len(numbers) == 2 or (blind and len(numbers) <= 1) or (len(numbers) == 1 and _doubled(slopes))):
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
            _count(c, f, source, units, amounts, axis[None], found)
            return
        part = _number_map(f, (_nothing(f) if source is None else source,), units, axis, amounts, c)
        if source is None:
            part.notes.append("a constant: what it reads is not in the weights")
        found.append(part)
        return
    codes, vectors = _distinct(out)
    if source is not None and parts[source].kind == "Count":
        seen = _seen_counts(c, source)
        if codes[seen].min() < 0 or len(set(codes[seen].tolist())) != int(seen.sum()):
            raise _UnreadError("discretise a count in a way that loses some")
        _count(c, f, source, units, np.arange(float(len(at))), np.where(seen[:, None], out, 0), found)
        return
    source = _nothing(f) if source is None else source
    answers = {i: int(code) for i, code in enumerate(codes) if code != NONE}
    pieces.setdefault((source,), []).append(Piece(answers, vectors, tuple(units)))


def _doubled(slopes: Floats) -> bool:
    """Whether one number is read twice with the same sign: both arguments of a sum are that number."""
    return bool((slopes > 0).sum() == 2 or (slopes < 0).sum() == 2)


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
        up = np.sort(amounts[positive] * slopes[k, positive])
        down = np.sort(amounts[negative] * slopes[k, negative])
        if c.loose and not (len(up) and len(down)):  # the other is never on
            up = down = np.concatenate([up, down])
        if len(up) != len(down) or np.abs(up - down).max(initial=0) > (0.1 if c.loose else 1e-4):
            raise _UnreadError("weigh a number and its negative differently")
        reads.extend([i] * len(up))
        factors.extend(snapped(up, 0.05 if c.loose else 1e-4).tolist())
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


def _seen_counts(c: Circuits, source: int) -> Bools:
    """Which counts occur."""
    if not c.loose:
        return np.ones(c.max_len + 1, dtype=bool)
    counts = np.round(1 / c.simulation.column(source) - 1).astype(np.intp)
    return np.bincount(counts, minlength=c.max_len + 1) > 0


def _count(
    c: Circuits, f: _Layer, source: int, units: list[int], amounts: Floats, vectors: Floats, found: list[Part]
) -> None:
    count = f.parts[source]
    if np.abs(amounts - np.arange(len(amounts)))[_seen_counts(c, source)].max() > 0.25:
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


def _number_map(
    f: _Layer, reads: tuple[int, ...], units: Sequence[int], axis: Floats, amounts: Floats, c: Circuits
) -> Part:
    if c.loose:
        axis, amounts = _scaled(axis, amounts)
    part = Part(
        "Map",
        "numerical",
        f.half,
        axis[None],
        reads,
        numbers=snapped(amounts, 0.03 if c.loose else 1e-4),
        inputs=_numbers_of(f.parts[reads[0]]),
        layer=f.layer,
        units=tuple(units),
    )
    assert part.numbers is not None
    if c.loose and f.parts[reads[0]].kind != "Nothing":
        c.simulation.extend(f.parts)
        counts = c.simulation.occurrences(part, [len(amounts)])
        part.numbers = np.where(counts > 0, part.numbers, np.nan)
    part.values = ValueSet.of(v for v in part.numbers.tolist() if v == v).values
    return part


def _scaled(axis: Floats, amounts: Floats) -> tuple[Floats, Floats]:
    """The number in a unit in which it is whole or half, if there is one: a projection may have changed its length."""
    sizes = np.abs(amounts)
    some = sizes[sizes > 0.05]
    for unit in (1.0, *(some.min() * k for k in (1, 2, 1 / 2, 1 / 3) if len(some))):
        scaled = amounts / unit
        if np.abs(scaled - np.round(2 * scaled) / 2).max() < 0.05:
            return axis * unit, scaled
    return axis, amounts


def _block(reads: tuple[int, ...], block: list[Piece], inputs: int, sizes: list[int], f: _Layer) -> Part:
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
        inputs=_numbers_of(f.parts[reads[0]]),
        layer=f.layer,
        units=tuple(sorted(u for piece in block for u in piece.units)),
    )


def _without_unseen(c: Circuits, part: Part, sizes: list[int]) -> None:
    """Marks the inputs of the table that do not occur, and drops the codes that are theirs alone."""
    assert part.codes is not None
    counts = c.simulation.occurrences(part, sizes).reshape(part.codes.shape)
    codes = np.where(counts > 0, part.codes, UNSEEN)
    kept = np.unique(codes[codes >= 0])
    renumbered = np.full(part.size, UNSEEN)
    renumbered[kept] = np.arange(len(kept))
    part.codes = np.where(codes >= 0, renumbered[np.maximum(codes, 0)], codes)
    part.vectors = part.vectors[kept]


def _inputs(part: Part) -> Sequence[Any]:
    """What a table of the part runs over: codes, or the values of a number."""
    if part.encoding == "categorical":
        return range(part.size)
    return part.values or (0.0,)


def _numbers_of(part: Part) -> tuple[float, ...] | None:
    return None if part.encoding == "categorical" else tuple(float(v) for v in part.values or (0.0,))


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


def snapped(x: Floats, close: float = 1e-4) -> Floats:
    """Numbers as they were before float32 rounded them: whole numbers and halves exactly, the rest to 7 digits."""
    halves = np.round(2 * x) / 2
    near = np.abs(x - halves) < close
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
