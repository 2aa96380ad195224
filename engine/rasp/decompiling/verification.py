"""Is it the program? Compiled again it gives the same weights, up to the order (or a rotation) of what has no order;
else it is run beside the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from engine.rasp.agreement import CLOSE, MOST_INPUTS, compare, defined, in_words, inputs_of
from engine.rasp.compiled import Compiled, Construction, Domain
from engine.rasp.compiler import compile_program
from engine.rasp.decompiling.circuits import Circuits
from engine.rasp.decompiling.naming import Choice
from engine.rasp.decompiling.parts import Floats, Part
from engine.rasp.forward import outputs
from engine.rasp.functions import Value
from engine.rasp.language import SOp
from engine.rasp.vectorised import Batch
from sessions.errors import CallError

LOSSY = 0.02  # of numbers that come out of a projected stream
# A program that is None everywhere agrees with everything: so much must be defined before agreement says anything.
LEAST_INPUTS, LEAST_POSITIONS = 0.9, 0.25
TRIED = 4_000  # inputs; where there are more, a sample of as many


class Verification(NamedTuple):
    kind: Literal["weights", "behaviour", "none"]
    holds: bool
    what: str  # a sentence
    agreed: int = 0  # inputs
    tested: int = 0
    exhaustive: bool = False

    @staticmethod
    def none(what: str) -> Verification:
        return Verification("none", False, what)


def verified(
    c: Circuits,
    state: Mapping[str, Any],
    program: SOp,
    domain: Domain,
    construction: Construction,
    parts: Sequence[Part],
    nodes: dict[int, SOp],
    choices: dict[int, Choice],
    rng: np.random.Generator,
    *,
    most: int = TRIED,
) -> Verification:
    """Weights where they can be compared, else behaviour on all inputs up to `most`, else on a sample of as many."""
    try:
        again = compile_program(program, domain, construction)
    except CallError as error:
        return behaviour(c, state, program, domain, rng, most=most, after=f"it does not compile ({error.what}); ")
    difference = compared(c, again, parts, nodes, choices)
    if not difference:
        basis = "" if _aligned(parts) else " and a rotation"
        basis += ", LayerNorm and its mirror left out" if c.mirrored else ""
        return Verification(
            "weights",
            True,
            f"compiled again, every weight is the same up to the order of directions, heads and units{basis}",
        )
    return behaviour(c, state, program, domain, rng, most=most, after=f"compiled again, {difference}; ")


def behaviour(
    c: Circuits,
    state: Mapping[str, Any],
    program: SOp,
    domain: Domain,
    rng: np.random.Generator,
    *,
    most: int = MOST_INPUTS,
    after: str = "",
    tolerance: float = CLOSE,
) -> Verification:
    inputs, exhaustive = inputs_of(domain, rng, most)
    reference = defined(lambda rows: Batch(rows, domain.causal).evaluate(program), inputs)
    result = compare(inputs, reference, model_outputs(c, state, inputs), exhaustive=exhaustive, tolerance=tolerance)
    extent = in_words(domain, exhaustive)
    rows = [row for row in reference if row is not None]
    positions = sum(map(len, rows))
    share = sum(value is not None for row in rows for value in row) / max(positions, 1)
    if result.tested == 0:
        return Verification("none", False, after + "the program is defined on none of the inputs tried")
    if result.holds:
        what = f"{after}equal on {extent}"
    else:
        what = f"{after}equal on {result.agreed:,} of {result.tested:,} inputs ({extent}): {result.difference}"
    if tolerance > CLOSE and c.labels.outputs is None:
        what += f" (numbers within {tolerance})"
    if share < 1 and positions:
        what += f"; compared where the program is not None, {share:.0%} of the positions"
    if result.undefined:
        what += f"; {result.undefined:,} inputs left out, on which the program is not defined"
    enough = share >= LEAST_POSITIONS and result.tested >= LEAST_INPUTS * len(inputs)
    if result.holds and not enough:
        what += ", which is too little to say that it is the program"
    return Verification("behaviour", result.holds and enough, what, result.agreed, result.tested, exhaustive)


def model_outputs(c: Circuits, state: Mapping[str, Any], inputs: Sequence[Sequence[Value]]) -> list[list[Value]]:
    """What the model gives on each input; inputs of one length share a pass."""
    return outputs(_shell(c, state), inputs)


def _shell(c: Circuits, state: Mapping[str, Any]) -> Compiled:
    """The model in the form in which numpy runs it."""
    from engine.rasp.language import Tokens

    config, labels = c.config, c.labels
    return Compiled(
        program=Tokens(),
        domain=Domain(c.vocab, c.max_len, config.attention == "causal"),
        construction=Construction(),
        n_layers=config.n_layers,
        n_heads=config.n_heads,
        d_model=config.d_model,
        d_head=config.d_head,
        d_mlp=config.d_mlp,
        attn_scale=config.attn_scale or float(np.sqrt(config.d_head)),
        state={name: np.asarray(array) for name, array in state.items()},
        tokens=tuple(labels.tokens),
        bos=labels.bos,
        pad=labels.pad if labels.pad is not None else -1,
        outputs=tuple(labels.outputs) if labels.outputs is not None else None,
        residual=(),
        variables=(),
        masks_pad=labels.masks_pad,
        layer_norm=config.normalization != "none",
    )


def _aligned(parts: Sequence[Part]) -> bool:
    vectors = parts[1].vectors
    return bool((np.abs(vectors).sum(1) < 1 + 1e-4).all())


def compared(
    c: Circuits, again: Compiled, parts: Sequence[Part], nodes: dict[int, SOp], choices: dict[int, Choice]
) -> str:
    """What is different from the weights that `again` has, in words; empty when nothing is."""
    shape = (c.n_layers, c.n_heads, c.d_model)
    other = (again.n_layers, again.n_heads, again.d_model)
    if shape != other:
        return f"it has {_shape(other)} instead of {_shape(shape)}"
    frame = _frame(c, again, parts, nodes, choices)
    if isinstance(frame, str):
        return frame
    for axes in frame:  # rows: the directions of `again` as vectors of the model
        difference = _differs(c, again, axes)
        if not difference:
            return ""
    return difference


def _frame(
    c: Circuits, again: Compiled, parts: Sequence[Part], nodes: dict[int, SOp], choices: dict[int, Choice]
) -> list[Floats] | str:
    """The directions of `again` in the model's basis, [d_model, d_model]; two candidates where the constant's direction
    is known up to a reflection."""
    part_of = {id(node): i for i, node in nodes.items()}
    axes = np.zeros((c.d_model, c.d_model))
    known = np.zeros(c.d_model, dtype=bool)
    axes[list(again.variables[1].dims)] = c.positions[1:]
    known[list(again.variables[1].dims)] = True
    counts = {p.head: p for p in parts if p.kind == "Count"}
    for v in again.variables[2:]:
        i = part_of.get(id(v.node))
        if i is None:
            return f"'{v.label}' has no counterpart"
        part = parts[i]
        if part.kind == "Nothing":
            continue
        if v.encoding == "categorical":
            place = {value: k for k, value in enumerate(choices[i].values)}
            if len(v.dims) != part.size or any(value not in place for value in v.values or ()):
                return f"'{v.label}' has {len(v.dims)} values instead of {part.size}"
            axes[list(v.dims)] = part.vectors[[place[value] for value in v.values or ()]]
        else:
            axes[list(v.dims)] = part.vectors
        known[list(v.dims)] = True
        if v.attention_dim is not None and part.head in counts:
            axes[v.attention_dim] = counts[part.head].vectors[0]
            known[v.attention_dim] = True
    token_dims = again.state["embed.W_E"].argmax(1)
    one = again.residual.index("one") if "one" in again.residual else None
    if one is not None:
        w = again.state["embed.W_E"].copy()
        w[:, one] = 0
        token_dims = w.argmax(1)
    rest = np.ones(c.d_model, dtype=bool)
    rest[token_dims] = False
    if one is not None:
        rest[one] = False
    if not known[rest].all():
        return "directions that nothing writes cannot be told apart"
    if one is None:
        axes[token_dims] = c.embed
        return [axes]
    # The rows of W_E are e_token + one. The part of `one` in their span is known; the rest is the one direction left.
    gram = c.embed @ c.embed.T
    inside = np.linalg.solve(gram, np.ones(len(gram))) @ c.embed
    taken = axes[rest].T @ axes[rest] + c.embed.T @ np.linalg.solve(gram, c.embed)
    remains = np.eye(c.d_model) - taken
    left = remains[np.linalg.norm(remains, axis=1).argmax()]
    left = left / max(float(np.linalg.norm(left)), 1e-9)
    length = np.sqrt(max(0.0, 1 - float(inside @ inside)))
    found = []
    for sign in (1.0, -1.0):
        some = axes.copy()
        some[one] = inside + sign * length * left
        some[token_dims] = c.embed - some[one]
        found.append(some)
    return found


class _Axes:
    """The directions of the model compiled again, as vectors of this one; mostly they are its own in another order."""

    def __init__(self, axes: Floats) -> None:
        self.axes = axes
        at = np.abs(axes).argmax(1)
        exact = np.zeros_like(axes)
        exact[np.arange(len(axes)), at] = 1
        self.order = at if np.abs(axes - exact).max() < 1e-6 else None

    def of(self, weights: Floats) -> Floats:
        """The weights [d_model, ...] by those directions."""
        found: Floats = weights[self.order] if self.order is not None else self.axes @ weights
        return found


def _differs(c: Circuits, again: Compiled, directions: Floats) -> str:
    axes = _Axes(directions)
    if axes.order is None and np.abs(directions @ directions.T - np.eye(len(directions))).max() > 1e-3:
        return "the directions are not orthogonal"
    s = again.state
    for name, ours, theirs in (
        ("the token embedding", c.embed, s["embed.W_E"]),
        ("the position embedding", c.positions, s["pos_embed.W_pos"]),
    ):
        if np.abs(axes.of(ours.T).T - theirs).max() > 1e-3:
            return f"{name} is different"
    if not _same_rows(axes.of(c.unembed).T, s["unembed.W_U"].T):
        return "the unembedding is different"
    for layer in range(c.n_layers):
        b = f"blocks.{layer}."
        heads = [
            _head(*(axes.of(w) for w in (c.q[layer][h], c.k[layer][h], c.v[layer][h], c.o[layer][h].T)))
            for h in range(c.n_heads)
        ]
        q, k, v, o = (s[f"{b}attn.W_{name}"] for name in "QKVO")
        others = [_head(q[h], k[h], v[h], o[h].T) for h in range(c.n_heads)]
        if not _same_heads(heads, others):
            return f"a head of layer {layer} is different"
        units = np.concatenate([axes.of(c.into[layer]), axes.of(c.out[layer].T)]).T
        again_units = np.concatenate([s[b + "mlp.W_in"], s[b + "mlp.W_out"].T]).T
        if not _same_rows(_working(units), _working(again_units)):
            return f"the units of mlp{layer} are different"
    return ""


def _head(q: Floats, k: Floats, v: Floats, o: Floats) -> tuple[Floats, Floats]:
    """Its columns of queries and keys, and of values and outputs: in any order they are the same head."""
    return _working(np.concatenate([q, k]).T), _working(np.concatenate([v, o]).T)


def _same_heads(a: list[tuple[Floats, Floats]], b: list[tuple[Floats, Floats]]) -> bool:
    left = list(range(len(b)))
    for qk, vo in a:
        match = next((i for i in left if _same_rows(qk, b[i][0]) and _same_rows(vo, b[i][1])), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _working(units: Floats) -> Floats:
    """Without rows that are all zero."""
    found: Floats = units[np.abs(units).max(1, initial=0) > 1e-3]
    return found


def _same_rows(a: Floats, b: Floats) -> bool:
    """Equal up to the order of rows and the rounding of float32: on a scale on which 1000 and 1001 are as close as 0
    and 0.001 are."""
    if a.shape != b.shape:
        return False
    weights = np.sin(1.7 * np.arange(a.shape[1]) + 0.3)  # any that tell different rows apart
    order = []
    for rows in (a, b):
        scaled = np.sign(rows) * np.log1p(np.abs(rows))
        order.append(scaled[(scaled @ weights).argsort()])
    return bool(np.abs(order[0] - order[1]).max(initial=0) < 3e-3)


def _shape(shape: tuple[int, int, int]) -> str:
    return f"{shape[0]} layers, {shape[1]} heads and {shape[2]} directions"
