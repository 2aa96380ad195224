"""Weights in, a program with its evidence out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from engine.models.labels import Labels
from engine.models.protocols import TransformerConfig
from engine.rasp.compiled import OURS, TRACR, Construction, Domain, Head, Units
from engine.rasp.decompiling import naming
from engine.rasp.decompiling.circuits import Circuits
from engine.rasp.decompiling.heads import read_head
from engine.rasp.decompiling.parts import NONE, Part
from engine.rasp.decompiling.units import read_mlp
from engine.rasp.decompiling.verification import LOSSY, TRIED, Verification, behaviour, verified
from engine.rasp.functions import Value
from engine.rasp.language import SOp

LOOSE = (0.0, 0.03, 0.15)  # how far off a product may be: exact weights, a projected stream, one that lost something


@dataclass(frozen=True)
class Line:
    """One s-op of the program, and the weights it was read from."""

    node: SOp
    op: str
    encoding: str
    head: Head | None
    units: tuple[Units, ...]  # runs of hidden units
    dims: tuple[int, ...] | None  # residual directions; None where they are not directions of the basis
    how: str
    alternatives: tuple[str, ...]  # functions or comparisons that the weights do not tell from the chosen one
    read: bool = True  # False: part of it is not in the weights; `how` says what


@dataclass(frozen=True)
class Decompiled:
    """`program` is None when the output could not be traced back. `unread`: what the weights do not say, or what does
    not look compiled; a sentence each."""

    program: SOp | None
    domain: Domain
    construction: Construction
    lines: tuple[Line, ...]
    unread: tuple[str, ...]
    verification: Verification
    milliseconds: float
    method: Literal["weights", "projected weights"] = "weights"  # the latter: of a stream with fewer directions


def decompile(
    config: TransformerConfig,
    state: Mapping[str, Any],
    labels: Labels,
    *,
    verify: bool = True,
    rng: np.random.Generator | None = None,
) -> Decompiled:
    """The program of a compiled model: its weights by HookedTransformer name, what token ids and logits mean, and
    nothing else. `rng` draws the inputs where there are too many to try all (default: seed 0).

    CallError when the weights are not those of a transformer with labels; a model that is not compiled gives a
    Decompiled without a program, which says what could not be read.
    """
    began = time.perf_counter()
    rng = rng or np.random.default_rng(0)
    best: Decompiled | None = None
    for loose in LOOSE:
        found = _attempt(Circuits(config, state, labels, loose=loose), state, verify, rng)
        if best is None or _rank(found) > _rank(best):
            best = found
        if best.verification.holds or (not verify and best.program is not None):
            break
    assert best is not None
    return replace(best, milliseconds=1000 * (time.perf_counter() - began))


def _rank(found: Decompiled) -> tuple[bool, bool, int]:
    """What is verified, else what was read with the fewest complaints (of exact weights, where that is equal)."""
    return found.verification.holds, found.program is not None, -len(found.unread)


def _attempt(circuits: Circuits, state: Mapping[str, Any], verify: bool, rng: np.random.Generator) -> Decompiled:
    construction = _construction(circuits)
    domain = Domain(circuits.vocab, circuits.max_len, circuits.config.attention == "causal")
    parts, notes = read(circuits, construction)
    sink, outputs, problem = _sink(circuits, parts)
    program: SOp | None = None
    lines: tuple[Line, ...] = ()
    gaps: list[int] = []
    if problem:
        notes.append(problem)
    elif sink is not None:
        choices = naming.chosen(parts, sink, outputs)
        program, nodes = naming.built(parts, sink, choices)
        used = set(naming.needed(parts, sink))
        if circuits.loose:
            gaps = [i for i in used if (codes := parts[i].codes) is not None and (codes == NONE).any()]
            for i in gaps:
                parts[i].notes.append(f"units of {parts[i].where} were not read for all the values that occur")
        lines = tuple(_line(parts, i, nodes[i], choices[i]) for i in sorted(nodes))
        notes.extend(note for i in sorted(used) for note in parts[i].notes)
    verification = Verification.none("nothing was read that could be checked")
    if program is not None and verify:
        if circuits.loose:
            verification = behaviour(circuits, state, program, domain, rng, most=TRIED, tolerance=LOSSY)
            if verification.holds and gaps:  # it is None there, and None agrees with everything
                verification = verification._replace(
                    holds=False, what=f"{verification.what}; but some values were not read, and there it is None"
                )
        else:
            verification = verified(circuits, state, program, domain, construction, parts, nodes, choices, rng)
    return Decompiled(
        program,
        domain,
        construction,
        lines,
        tuple(dict.fromkeys(notes)),
        verification,
        0.0,
        "projected weights" if circuits.loose else "weights",
    )


def read(circuits: Circuits, construction: Construction) -> tuple[list[Part], list[str]]:
    """What every component computes, from the first half layer to the last."""
    parts = [
        Part("Tokens", "categorical", -1, circuits.tokens - circuits.one, values=circuits.vocab),
        Part("Indices", "categorical", -1, circuits.positions[1:], values=tuple(range(circuits.max_len))),
    ]
    notes: list[str] = []
    for layer in range(circuits.n_layers):
        attended: list[Part] = []
        for head in range(circuits.n_heads):
            found, said = read_head(circuits, Head(layer, head), parts, construction)
            attended.extend(found)
            notes.extend(said)
        parts.extend(attended)
        found, said = read_mlp(circuits, layer, parts)
        parts.extend(found)
        notes.extend(said)
    return parts, notes


def _construction(c: Circuits) -> Construction:
    """Ours keeps padding from being attended; the original divides scores and does not."""
    divided = c.config.attn_scale in (0, 0.0) or abs(c.config.attn_scale - 1) > 1e-6
    return TRACR if divided and c.config.d_head > 1 else OURS if not divided else TRACR


def _sink(c: Circuits, parts: list[Part]) -> tuple[int | None, tuple[Value, ...] | None, str]:
    """The part that the logits read, and its values by code."""
    read_by_logits = []
    for i, logits in enumerate(c.read(parts, c.unembed, whole=True, numbers=c.labels.outputs is None).parts):
        if np.abs(logits).max(initial=0) > (0.3 if c.loose else 1e-2):
            read_by_logits.append((i, logits))
    if c.loose and len(read_by_logits) > 1:  # the others only share a little of its directions
        read_by_logits.sort(key=lambda found: -float(np.abs(found[1]).max()))
        first, second = (float(np.abs(logits).max()) for _, logits in read_by_logits[:2])
        if second < 0.75 * first:
            read_by_logits = read_by_logits[:1]
    if len(read_by_logits) != 1:
        return None, None, f"the logits read {len(read_by_logits)} s-ops that could be read, instead of one"
    i, logits = read_by_logits[0]
    if c.labels.outputs is None:
        return i, None, ""
    best = logits.argmax(1).tolist()
    seen = c.seen(parts[i], i) if c.loose else np.ones(len(best), dtype=bool)
    said = [k for k, occurs in zip(best, seen.tolist()) if occurs]
    if len(set(said)) != len(said):
        return None, None, "two values of the output give the same logit"
    spare = iter([k for k in range(len(c.labels.outputs)) if k not in said])
    which = [k if occurs else next(spare, k) for k, occurs in zip(best, seen.tolist())]
    return i, tuple(c.labels.outputs[k] for k in which), ""


def _line(parts: list[Part], at: int, node: SOp, choice: naming.Choice) -> Line:
    part = parts[at]
    runs: list[Units] = []
    for u in part.units:
        assert part.layer is not None
        if runs and runs[-1].stop == u:
            runs[-1] = Units(part.layer, runs[-1].start, u + 1)
        else:
            runs.append(Units(part.layer, u, u + 1))
    largest = np.abs(part.vectors).max(1)
    aligned = bool((np.abs(np.abs(part.vectors).sum(1) - largest) < 1e-3).all()) and bool((largest > 0.5).all())
    if part.kind == "Tokens":  # less the padding token's
        difference = np.sort(np.abs(part.vectors), axis=1)
        aligned = bool((np.abs(difference[:, -2:] - 1) < 1e-4).all() and (difference[:, :-2] < 1e-4).all())
    dims = tuple(part.vectors.argmax(1).tolist()) if aligned else None
    return Line(
        node,
        part.kind if part.kind != "Nothing" else "Map",
        part.encoding,
        part.head,
        tuple(runs),
        dims,
        _how(part),
        choice.others,
        not part.notes and part.kind != "Nothing",
    )


def _how(part: Part) -> str:
    """One sentence: what in the weights says so."""
    at = part.where
    match part.kind:
        case "Tokens":
            text = "the rows of the token embedding"
        case "Indices":
            text = "the rows of the position embedding"
        case "Nothing":
            text = "a direction that is read and that nothing writes: always 0"
        case "Aggregate":
            text = (
                f"{at} attends by a table of {part.matches.shape[0]} by {part.matches.shape[1]} values and copies"
                if (part.matches is not None)
                else at
            )
        case "SelectorWidth":
            text = (
                f"{at}: the head's share of the beginning token is 1/(d+1), which {len(part.units)} units turn into d"
            )
        case "SequenceMap":
            text = f"{len(part.units)} units of mlp{part.layer}, each on for one pair of values"
        case "LinearSequenceMap":
            text = f"{len(part.units)} units of mlp{part.layer}: either sign of two numbers, added"
        case "Map" if part.numbers is not None:
            text = f"{len(part.units)} units of mlp{part.layer} write one number"
        case _:
            text = f"{len(part.units)} units of mlp{part.layer} write one of {part.size} values"
    return "; ".join([text, *part.notes])
