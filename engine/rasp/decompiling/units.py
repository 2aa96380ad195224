"""Hidden units into s-ops (section 3, read backwards): units whose outputs hang together are a group, and what a group
reads says what it is: a table or a conjunction of codes (lookups.py), or steps and sums of numbers (thresholds.py)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.rasp.decompiling.blocks import Piece, arranged_with_shared, components
from engine.rasp.decompiling.circuits import Circuits
from engine.rasp.decompiling.hidden_layer import HiddenLayer, UnreadError, ever_on, inputs_of
from engine.rasp.decompiling.lookups import block_part, forget_unseen, read_conjunctions, read_lookup, take_flags
from engine.rasp.decompiling.parts import Floats, Ints, Part
from engine.rasp.decompiling.thresholds import read_numbers


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
    f = HiddenLayer(layer, parts, rows, into, one, bos, readings, touched)
    # The original has one unit that cleans up after all selector widths of a layer; it makes them no group.
    cleaning = (bos > 1.5) & ~touched.any(0) & (one == 0)
    active = np.flatnonzero((out > 1e-6) & ever_on(c, f) & ~cleaning)
    found: list[Part] = []
    notes: list[str] = []
    pieces: dict[tuple[int, ...], list[Piece]] = {}
    for members in components(rows[active], _cosines(c, f, active)):
        units = active[members].tolist()
        try:
            _read_component(c, f, units, found, pieces)
        except UnreadError as error:
            notes.append(f"units {_ranges(units)} of mlp{layer} {error}")
    for reads, some in pieces.items():
        sizes = [len(inputs_of(parts[i])) for i in reads]
        inputs = int(np.prod(sizes))
        blocks, certain = arranged_with_shared(some, inputs, c, f.half)
        if c.loose and len(reads) == 1:
            found.extend(take_flags(c, f, reads[0], inputs, some, blocks))
        for block in blocks:
            part = block_part(reads, block, inputs, sizes, f)
            if c.loose and part.size:
                c.simulation.extend(parts)
                forget_unseen(c, part, sizes)
            if not part.size:
                continue
            if not certain:
                part.notes.append("its units could also be shared out otherwise between the maps of the same s-op")
            found.append(part)
    found.sort(key=lambda p: p.units)
    return found, notes


def _cosines(c: Circuits, f: HiddenLayer, active: Ints) -> Floats:
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


def _read_component(
    c: Circuits, f: HiddenLayer, units: list[int], found: list[Part], pieces: dict[tuple[int, ...], list[Piece]]
) -> None:
    parts = f.parts
    working = [u for u in units if not (f.bos[u] > 0 and not f.touched[:, u].any() and f.one[u] == 0)]
    if not working:  # cleans the beginning of the sequence, where nothing else does anything
        return
    reads = f.read_by(working)
    coded = [i for i in reads if parts[i].encoding == "categorical"]
    numbers = [i for i in reads if parts[i].encoding == "numerical"]
    if coded and numbers:
        raise UnreadError("mix one-hot directions and numbers")
    if numbers or not reads:
        read_numbers(c, f, units, working, numbers, found, pieces)
        return
    counts = f.touched[:, working].sum(0)
    if (counts == 2).all():
        read_conjunctions(f, working, pieces)
    elif len(coded) == 1 and (c.loose or not f.one[working].any()):
        read_lookup(c, f, working, coded[0], found, pieces)
    else:
        raise UnreadError(f"read {len(coded)} s-ops in a way that is no operation")


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
