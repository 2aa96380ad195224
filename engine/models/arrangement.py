"""From the names and shapes of tensors to the recurrent network they belong to. Without torch and without numbers.

Two families. Cells of torch.nn.RNN, GRU and LSTM (and of the *Cell modules) are known by their own names, weight_ih_l0
and so on, under any prefix; what is left over is an embedding and the affine layers of the readout. Networks of the
MIPS form h = f([h; x]), y = g(h) (arXiv:2402.05110, section 2.1) are two chains of affine layers under two names, of
which only one fits as f: it reads more numbers than it gives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise, permutations
from typing import Literal, NamedTuple

from sessions.errors import CallError

Shapes = Mapping[str, tuple[int, ...]]
Cell = Literal["elman", "gru", "lstm", "mlp"]
GATES: dict[int, Cell] = {1: "elman", 3: "gru", 4: "lstm"}  # rows of weight_hh per hidden number
EXPECTED = (
    "expected weight_ih_l0, weight_hh_l0, bias_ih_l0, ... of torch.nn.RNN, GRU or LSTM under any prefix and a linear "
    "readout (fc.weight, fc.bias), or two chains of linear layers f and g (f.0.weight, f.0.bias, ..., g.0.weight)"
)
MOST_ORDERED = 6  # layers of a readout, all of whose orders are tried
_CELL = re.compile(r"(?P<prefix>.*?)(?P<what>weight|bias)_(?P<of>ih|hh)(_l(?P<layer>\d+))?")
_OTHER = re.compile(r".*?(weight|bias)_(ih|hh|hr)(_l\d+)?(_reverse)?")


class Arrangement(NamedTuple):
    """What the shapes say. `names`: our name -> the file's name, for every tensor there is (biases may be missing)."""

    cell: Cell
    hidden: int  # of one layer
    layers: int
    width: int  # numbers that the first layer reads at each position, besides the hidden ones
    f: tuple[int, ...]  # widths of the update's hidden layers (mlp)
    g: tuple[int, ...]  # widths of the readout's hidden layers
    written: int  # numbers that the readout gives
    vocabulary: int  # rows of the embedding; 0: there is none
    embedded: int  # columns of the embedding
    names: dict[str, str]


def looks_recurrent(names: Sequence[str]) -> bool:
    """Whether tensors of these names can only be a recurrent network's, where no configuration says what they are."""
    bare = [name for name in names if _OTHER.fullmatch(name)]
    return bool(bare) or (bool(names) and all(re.fullmatch(r"[fg]\.\d+\.(weight|bias)", name) for name in names))


def arrange(shapes: Shapes, where: str) -> Arrangement:
    """The network these tensors belong to. CallError names the tensors that fit nowhere, and what was expected."""
    if any(_OTHER.fullmatch(name) for name in shapes):
        return _cells(shapes, where)
    return _chains(shapes, where)


def listed(shapes: Shapes, most: int = 12) -> str:
    """Tensors as a sentence names them: `f.0.weight (3, 4), ...`."""
    some = [f"{name} {tuple(shape)}" for name, shape in list(shapes.items())[:most]]
    return ", ".join(some) + (f" and {len(shapes) - most} more" if len(shapes) > most else "")


def _cells(shapes: Shapes, where: str) -> Arrangement:
    found: dict[tuple[str, int], dict[str, str]] = {}  # (prefix, layer) -> weight_ih: the file's name
    rest: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        if match := _CELL.fullmatch(name):
            key = (match["prefix"], int(match["layer"] or 0))
            found.setdefault(key, {})[f"{match['what']}_{match['of']}"] = name
        elif name.endswith("_reverse"):
            raise CallError(
                f"the network also reads its input backwards ({name})",
                where,
                "give one that is not bidirectional: a program reads its input from the start",
            )
        elif _OTHER.fullmatch(name):
            raise CallError(
                f"the hidden state is projected to fewer numbers ({name})", where, "give a network without proj_size"
            )
        else:
            rest[name] = shape
    keys = sorted(found, key=lambda key: (_natural(key[0]), key[1]))
    if len({re.sub(r"\d+", "", prefix) for prefix, _ in keys}) > 1:
        raise CallError(
            f"there are several recurrent parts, in an order that their names do not tell "
            f"({', '.join(sorted({prefix.rstrip('.') or 'one without a name' for prefix, _ in keys}))})",
            where,
            "give a network with one, or name the layers rnn.0, rnn.1, ...",
        )
    parts = [found[key] for key in keys]
    cell, hidden, width = _layers(parts, shapes, where)
    names = {f"{what}_l{layer}": name for layer, part in enumerate(parts) for what, name in part.items()}
    embedding = [
        name
        for name, shape in rest.items()
        if len(shape) == 2 and name.endswith("weight") and re.search(r"emb|(^|\.)encoder\.", name, re.IGNORECASE)
    ]
    vocabulary = embedded = 0
    if len(embedding) == 1:
        vocabulary, embedded = rest.pop(embedding[0])
        names["embedding.weight"] = embedding[0]
    chain = _chain(rest, hidden, where)
    names |= _numbered("readout", chain, rest)
    g = tuple(rest[f"{stem}weight"][0] for stem in chain[:-1])
    written = rest[f"{chain[-1]}weight"][0]
    return Arrangement(cell, hidden, len(parts), width, (), g, written, vocabulary, embedded, names)


def _layers(parts: Sequence[Mapping[str, str]], shapes: Shapes, where: str) -> tuple[Cell, int, int]:
    """The cell, its hidden size and what the first layer reads; CallError when the layers do not fit together."""
    wanted = {"weight_ih", "weight_hh"} | {what for part in parts for what in part}
    for part in parts:
        if missing := wanted - set(part):
            raise CallError(
                f"{_sibling(part, sorted(missing)[0])} is missing", where, f"the file holds {listed(shapes)}"
            )
    first = shapes[parts[0]["weight_hh"]]
    rows, hidden = first if len(first) == 2 else (0, 0)
    cell = GATES.get(rows // hidden) if hidden and rows % hidden == 0 else None
    if cell is None:
        raise CallError(
            f"{parts[0]['weight_hh']} is {first}: neither an Elman network's (n, n), nor a GRU's (3n, n), nor an "
            "LSTM's (4n, n)",
            where,
        )
    width = shapes[parts[0]["weight_ih"]][-1]
    for layer, part in enumerate(parts):
        sizes: dict[str, tuple[int, ...]]
        sizes = {"weight_ih": (rows, width if layer == 0 else hidden), "weight_hh": (rows, hidden)}
        sizes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        for what, name in part.items():
            if shapes[name] != sizes[what]:
                raise CallError(
                    f"{name} is {shapes[name]}, and {sizes[what]} would fit {parts[0]['weight_hh']} {first}", where
                )
    return cell, hidden, width


def _sibling(part: Mapping[str, str], what: str) -> str:
    """How the file would have called the tensor that is missing."""
    had, name = next(iter(part.items()))
    return what.join(name.rsplit(had, 1))


def _chains(shapes: Shapes, where: str) -> Arrangement:
    """f and g of the MIPS form, whatever they are called."""
    groups = _two_groups(shapes)
    if groups is None:
        raise CallError(f"these are not the tensors of a known recurrent network: {listed(shapes)}", where, EXPECTED)
    fits = []
    for update, readout in permutations(groups):
        ends = [_ends(part) for part in (update, readout)]
        fits += [
            (update, readout, given)
            for reads, given in sorted(ends[0])
            if reads > given and any(taken == given for taken, _ in ends[1])
        ]
    if len(fits) != 1:
        raise CallError(
            f"no two of these chains are h = f([h; x]) and y = g(h), where f reads more numbers than it gives and g "
            f"reads those: {listed(shapes)}",
            where,
            EXPECTED,
        )
    update, readout, hidden = fits[0]
    f, g = _chain(update, None, where, end=hidden), _chain(readout, hidden, where)
    names = _numbered("f", f, update) | _numbered("g", g, readout)
    return Arrangement(
        "mlp",
        hidden,
        1,
        update[f"{f[0]}weight"][1] - hidden,
        tuple(update[f"{stem}weight"][0] for stem in f[:-1]),
        tuple(readout[f"{stem}weight"][0] for stem in g[:-1]),
        readout[f"{g[-1]}weight"][0],
        0,
        0,
        names,
    )


def _two_groups(shapes: Shapes) -> tuple[Shapes, Shapes] | None:
    """The tensors under the two names that tell them apart, a name that all share left out of account."""
    parts = {name: name.split(".") for name in shapes}
    depth = 0
    while all(len(part) > depth + 1 for part in parts.values()) and len({part[depth] for part in parts.values()}) == 1:
        depth += 1
    for key in (lambda part: part[depth], lambda part: re.sub(r"\d+", "", part[depth])):
        kinds = sorted({key(part) for part in parts.values()})
        if len(kinds) == 2:
            one, other = ({name: shapes[name] for name in shapes if key(parts[name]) == kind} for kind in kinds)
            return one, other
    return None


def _ends(shapes: Shapes) -> set[tuple[int, int]]:
    """What a chain of these layers may read and give, by every order in which they fit together."""
    stems = _stems(shapes)
    if stems is None:
        return set()
    return {
        (shapes[f"{order[0]}weight"][1], shapes[f"{order[-1]}weight"][0])
        for order in _orders(stems, shapes)
        if _fits(order, shapes)
    }


def _chain(shapes: Shapes, start: int | None, where: str, *, end: int | None = None) -> tuple[str, ...]:
    """The stems of the layers in the order in which they follow on each other; `start`: what the first one reads.

    Numbers in the names decide where several orders would fit. CallError when none fits, or names do not decide.
    """
    stems = _stems(shapes)
    if not stems:
        extra = {name: shape for name, shape in shapes.items() if not name.endswith(("weight", "bias"))} or shapes
        what = f"{listed(extra)} belong to no linear layer" if shapes else "there is no readout"
        raise CallError(what, where, EXPECTED)
    fitting = [
        order
        for order in _orders(stems, shapes)
        if _fits(order, shapes)
        and start in (None, shapes[f"{order[0]}weight"][1])
        and end in (None, shapes[f"{order[-1]}weight"][0])
    ]
    counted = len({re.sub(r"\d+", "", stem) for stem in stems}) == 1
    if len(fitting) == 1 or (fitting and counted and fitting[0] == tuple(sorted(stems, key=_natural))):
        return fitting[0]
    if fitting:
        raise CallError(
            f"the order of these layers cannot be told from their names: {listed(shapes)}",
            where,
            "name them readout.0, readout.1, ...",
        )
    reads = "" if start is None else f" and begin with the {start} hidden numbers"
    raise CallError(f"these layers do not follow on each other{reads}: {listed(shapes)}", where, EXPECTED)


def _stems(shapes: Shapes) -> list[str] | None:
    """`fc1.` for fc1.weight and fc1.bias; None when something is no affine layer."""
    stems = [name.removesuffix("weight") for name, shape in shapes.items() if name.endswith("weight")]
    if any(len(shapes[f"{stem}weight"]) != 2 for stem in stems):
        return None
    biases = [name.removesuffix("bias") for name in shapes if not name.endswith("weight")]
    for stem in biases:
        if stem not in stems or shapes.get(f"{stem}bias") != shapes[f"{stem}weight"][:1]:
            return None
    return stems


def _orders(stems: Sequence[str], shapes: Shapes) -> list[tuple[str, ...]]:
    """The order of the numbers in the names first, then every other one of a few layers."""
    natural = tuple(sorted(stems, key=_natural))
    if len(stems) > MOST_ORDERED:
        return [natural]
    return [natural, *(order for order in permutations(natural) if order != natural)]


def _fits(order: Sequence[str], shapes: Shapes) -> bool:
    return all(shapes[f"{one}weight"][0] == shapes[f"{after}weight"][1] for one, after in pairwise(order))


def _numbered(part: str, chain: Sequence[str], shapes: Shapes) -> dict[str, str]:
    """`readout.0.weight: fc1.weight`, ..."""
    return {
        f"{part}.{layer}.{what}": f"{stem}{what}"
        for layer, stem in enumerate(chain)
        for what in ("weight", "bias")
        if f"{stem}{what}" in shapes
    }


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """A key that puts fc10 after fc2."""
    return tuple(
        (int(text), "") if digits else (-1, text)
        for digits, group in groupby(name, str.isdecimal)
        for text in ["".join(group)]
    )
