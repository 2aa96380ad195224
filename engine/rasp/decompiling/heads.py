"""Attention heads: which values of the queries attend to which of the keys, and what is carried (section 3,
"Attention", read backwards)."""

from __future__ import annotations

import numpy as np

from engine.rasp.compiled import Construction, Head
from engine.rasp.decompiling.circuits import Circuits
from engine.rasp.decompiling.parts import Part
from engine.rasp.value_sets import ValueSet, averages

WHOLE = 2e-2  # how far a score may be from a whole match, relative to it


def read_head(c: Circuits, at: Head, parts: list[Part], construction: Construction) -> tuple[list[Part], list[str]]:
    """The s-ops that the head computes (none where it is empty), and a sentence per thing that could not be read."""
    layer, head = at
    w_q, w_k, w_v, w_o = (w[layer][head] for w in (c.q, c.k, c.v, c.o))
    columns = (np.abs(w_v).max(0) > 0) & (np.abs(w_o).max(1) > 0)
    if not columns.any():
        return [], []
    name = f"L{layer}H{head}"
    half = 2 * layer
    coded = [i for i, p in enumerate(parts) if p.encoding == "categorical"]
    asking, offering = c.read(parts, w_q, numbers=False), c.read(parts, w_k, whole=True, numbers=False)
    size_q, size_k, size_v = (float(np.linalg.norm(w, axis=0).max()) for w in (w_q, w_k, w_v))
    queries = [i for i in coded if np.abs(asking.parts[i]).max(initial=0) > c.small * size_q]
    keys = [i for i in coded if np.abs(offering.parts[i]).max(initial=0) > c.small * size_k]
    notes: list[str] = []
    if len(keys) != 1 or len(queries) > 1:
        return [], [
            f"{name} attends by {_several(len(queries), 'query')} and {_several(len(keys), 'key')}, which is no select"
        ]
    key = keys[0]
    if queries:
        query = queries[0]
    else:
        query = key
        notes.append(f"{name} selects nothing: which s-op its queries are is not in the weights")
    occurs = c.simulation.meetings(query, key, (parts[query].size, parts[key].size)) if c.loose else None
    constant = asking.always if c.loose else 0.0
    scores = (asking.parts[query] + constant) @ (offering.parts[key] + offering.always).T
    bos = float(asking.always @ offering.bos)
    if occurs is not None:  # scores are compared with that of the beginning token: C/2 (or C, to count) is its own
        against = (asking.parts[query] + constant) @ offering.bos
        scores, bos = scores - against[:, None], float(np.abs(against).max())
        matches = scores > -0.25 * bos
        scores = np.where(occurs, scores, -bos)
        top = float(max(np.abs(scores).max(), bos))
        rest = np.where(occurs, np.minimum(np.abs(np.abs(scores) - bos), np.abs(scores)), 0)
    else:
        top = max(float(scores.max(initial=0)), bos)
        some = scores.max(initial=0) > 0.5 * top
        matches = scores > 0.75 * max(top, 1e-9) if some else np.zeros(scores.shape, dtype=bool)
        rest = np.where(matches, scores - (scores[matches].mean() if matches.any() else 0), scores)
    if top <= 0 or np.abs(rest).max(initial=0) > (0.3 if c.loose else WHOLE) * top:
        return [], [f"{name} gives scores that are neither a match nor none, so what it selects is not read"]

    found: list[Part] = []
    carried = np.zeros(len(columns), dtype=bool)
    carrying = c.read(parts, w_v, whole=True)
    for i, p in enumerate(parts):
        if p.kind in ("Count", "Nothing"):
            continue
        values = carrying.parts[i]
        touched = np.abs(values).max(0) > c.small * size_v
        if not touched.any():
            continue
        carried |= touched
        found.append(
            Part(
                "Aggregate",
                p.encoding,
                half,
                np.where(touched, values, 0) @ w_o,
                (key, query, i),
                values=_averaged(p, c, construction) if p.encoding == "numerical" else p.values,
                matches=matches,
                occurs=occurs,
                head=at,
                notes=list(notes),
            )
        )
    beginning = carrying.bos
    counts = (np.abs(beginning) > c.small * size_v) & columns & ~carried
    if counts.any():
        carried |= counts
        out = (np.where(counts, beginning, 0) @ w_o)[None]
        found.append(
            Part(
                "Count",
                "numerical",
                half,
                out,
                (key, query),
                matches=matches,
                occurs=occurs,
                head=at,
                notes=list(notes),
            )
        )
    idle = columns & ~carried & (size_v * c.small < np.linalg.norm(w_v, axis=0))
    for column in np.flatnonzero(idle).tolist():
        parts.append(Part("Nothing", "numerical", -1, np.zeros((1, c.d_model)), values=(0.0,)))
        found.append(
            Part(
                "Aggregate",
                "numerical",
                half,
                w_o[column][None],
                (key, query, len(parts) - 1),
                values=(0.0,),
                matches=matches,
                occurs=occurs,
                head=at,
                notes=[*notes, f"{name} reads a direction that nothing writes: any s-op that is always 0 fits"],
            )
        )
    return found, []


def _averaged(p: Part, c: Circuits, construction: Construction) -> tuple[float, ...]:
    assert p.values is not None
    numbers = ValueSet.of(
        sorted({float(v) for v in p.values} | {0.0}) if not p.values else [float(v) for v in p.values]
    )
    found: tuple[float, ...] = averages(numbers, c.max_len, construction).values
    return found


def _several(count: int, what: str) -> str:
    return f"{count} {what} s-ops" if count != 1 else f"one {what} s-op"
