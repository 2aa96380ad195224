"""From a trained network to a program in parts: choices made hard, MLPs made tables, what changes nothing left out.

Paper section 3.4. The discrete network is run on the task's inputs, all of them when they are few enough, and the
values its variables take are what tables are made of. When all inputs were seen, what never changes a prediction is
left out of the classifier, and then whatever nobody reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int

from engine.rasp.transformer_programs.gates import hard
from engine.rasp.transformer_programs.model import Shape, Weights, answer, forward
from engine.rasp.transformer_programs.structure import (
    ONES,
    POSITIONS,
    TOKENS,
    Classifier,
    Head,
    Kind,
    Mlp,
    Structure,
    Value,
)
from engine.rasp.transformer_programs.tasks import BOS, EOS, NO_TARGET, Codes, Task, encode

BATCH = 4096
MOST_PAIRS = 4096  # of an MLP's inputs beyond those that were seen
Rows = Int[np.ndarray, "row variable"]


class Seen(NamedTuple):
    """The different combinations of values the variables take at a position, and whether a class is predicted there."""

    rows: Rows  # categorical variables, then numerical ones
    scored: np.ndarray[Any, np.dtype[np.bool_]]
    complete: bool  # from every input there is


def variable_names(shape: Shape) -> tuple[list[str], list[str]]:
    """Names of the categorical and the numerical variables, in the network's order."""
    categorical, numerical = [TOKENS, POSITIONS], [ONES]
    for layer in range(shape.layers):
        for prefix, count in (
            ("attn", shape.categorical_heads),
            ("mlp", shape.categorical_mlps),
            ("num_mlp", shape.numerical_mlps),
        ):
            categorical += [f"{prefix}_{layer}_{k}_outputs" for k in range(count)]
        numerical += [f"num_attn_{layer}_{k}_outputs" for k in range(shape.numerical_heads)]
    return categorical, numerical


def observe(
    shape: Shape,
    weights: Weights,
    task: Task,
    payloads: Iterable[Codes],
    *,
    complete: bool,
    progress: Callable[[int], None] | None = None,
) -> Seen:
    """Run the discrete network on payloads (chunks of one length each) and gather what its variables hold."""
    gathered: list[Rows] = []
    done = 0
    for chunk in payloads:
        for start in range(0, len(chunk), BATCH):
            examples = encode(task, chunk[start : start + BATCH])
            with torch.no_grad():
                stream = forward(shape, weights, torch.from_numpy(examples.ids), hard)
            codes = stream.categorical.argmax(-1).flatten(1).numpy().T
            numbers = stream.numerical.flatten(1).round().long().numpy().T
            real = examples.ids.reshape(-1) != shape.tokens - 1
            scored = (examples.targets.reshape(-1) != NO_TARGET).astype(np.int64)
            gathered.append(_unique(np.concatenate([codes, numbers, scored[:, None]], axis=1)[real]))
            done += len(examples.ids)
            if progress is not None:
                progress(done)
        gathered = [_unique(np.concatenate(gathered))]
    rows = gathered[0]
    return Seen(rows[:, :-1], rows[:, -1] == 1, complete)


def _unique(rows: Rows) -> Rows:
    """Different rows, by a sort of their bytes: a tenth of the time of np.unique along an axis."""
    rows = np.ascontiguousarray(rows, dtype=np.int64)
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0]
    return rows[np.unique(keys, return_index=True)[1]]


class _Network(NamedTuple):
    """Everything the steps below need to know of one discrete network."""

    shape: Shape
    weights: Weights
    task: Task
    seen: Seen
    categorical: list[str]
    numerical: list[str]
    values: dict[str, list[Value]]  # what an index means, for every categorical variable

    def column(self, name: str) -> Int[np.ndarray, " row"]:
        names = self.categorical + self.numerical
        column: Int[np.ndarray, " row"] = self.seen.rows[:, names.index(name)]
        return column

    def pick(self, gate: str, row: int, *, number: bool = False) -> str:
        """The variable a gate has chosen."""
        chosen = int(self.weights[gate][row].argmax())
        return (self.numerical if number else self.categorical)[chosen]

    def indices(self, name: str) -> list[int]:
        """The indices a categorical variable takes (all that are possible, unless every input was seen)."""
        return sorted(set(self.column(name).tolist()))


def convert(shape: Shape, weights: Weights, task: Task, seen: Seen) -> Structure:
    """The discrete network as a program in parts. Exact on every input when `seen.complete`."""
    categorical, numerical = variable_names(shape)
    width = shape.width
    values: dict[str, list[Value]] = {
        TOKENS: list[Value]([*task.tokens, *([""] * width)][:width]),
        POSITIONS: list(range(width)),
    }
    network = _Network(shape, weights, task, seen, categorical, numerical, values)
    parts: list[Head | Mlp] = []
    for layer in range(shape.layers):
        parts += _heads(network, layer)
        parts += _mlps(network, layer)
    classifier = _classifier(network)
    needed, live = set(classifier.reads), []
    for part in reversed(parts):
        if part.output in needed:
            live.append(part)
            needed |= set(part.reads)
    names = [part.output for part in live]
    return Structure(
        task=task.name,
        summary=task.summary,
        start=(BOS,),
        end=(EOS,) if task.eos else (),
        causal=task.causal,
        parts=tuple(reversed(live)),
        classifier=classifier,
        dropped=tuple(part.output for part in parts if part.output not in names),
        enumerated=seen.complete,
    )


def _heads(network: _Network, layer: int) -> list[Head]:
    shape, heads = network.shape, []
    for k in range(shape.categorical_heads + shape.numerical_heads):
        number = k >= shape.categorical_heads
        index = k - shape.categorical_heads if number else k
        at, prefix = f"layers.{layer}", "num_" if number else ""
        query, key = network.pick(f"{at}.query", k), network.pick(f"{at}.key", k)
        value = network.pick(f"{at}.{'number' if number else 'value'}", index, number=number)
        output = f"{prefix}attn_{layer}_{index}_outputs"
        wanted = network.weights[f"{at}.predicate"][k].argmax(-1).tolist()
        there = network.indices(key) if network.seen.complete else range(shape.width)
        asked = network.indices(query) if network.seen.complete else range(shape.width)
        predicate = {
            network.values[query][q]: network.values[key][wanted[q]] if wanted[q] in there else None
            for q in asked
            if _possible(network, query, q)
        }
        if not number:
            network.values[output] = network.values[value]
        kind: Kind = "numerical" if number else "categorical"
        heads.append(
            Head(output, f"{prefix}predicate_{layer}_{index}", layer, index, kind, query, key, value, predicate)
        )
    return heads


def _possible(network: _Network, variable: str, index: int) -> bool:
    """Whether an index means anything: padding is never seen, and a variable may be wider than its values."""
    meanings = network.values[variable]
    if meanings is network.values[TOKENS]:
        return index < len(network.task.tokens) - 1
    return meanings is not network.values[POSITIONS] or index < network.task.context


def _mlps(network: _Network, layer: int) -> list[Mlp]:
    shape, mlps = network.shape, []
    kinds: tuple[tuple[Kind, str, int], ...] = (
        ("categorical", "mlp", shape.categorical_mlps),
        ("numerical", "num_mlp", shape.numerical_mlps),
    )
    for kind, prefix, count in kinds:
        for k in range(count):
            gate, number = f"layers.{layer}.{kind}_mlp", kind == "numerical"
            variables = network.numerical if number else network.categorical
            reads = [variables[int(choice)] for choice in network.weights[f"{gate}.read"][k].argmax(-1)]
            output = f"{prefix}_{layer}_{k}_outputs"
            network.values[output] = list(range(shape.width))
            pairs = np.unique(np.stack([network.column(name) for name in reads], axis=1), axis=0)
            if not network.seen.complete:
                pairs = _more_pairs(network, reads, pairs, number)
            outputs = answer(network.shape, network.weights, gate, k, torch.from_numpy(pairs)).tolist()
            meaning = [(lambda v: v) if number else network.values[name].__getitem__ for name in reads]
            table: dict[tuple[Value, ...], int] = {
                (meaning[0](a), meaning[1](b)): out for (a, b), out in zip(pairs.tolist(), outputs)
            }
            single = tuple(dict.fromkeys(name for name in reads if name != ONES)) or (ONES,)
            table = {tuple(pair[reads.index(name)] for name in single): out for pair, out in table.items()}
            mlps.append(Mlp(output, f"{prefix}_{layer}_{k}", layer, k, kind, single, table))
    return mlps


def _more_pairs(network: _Network, reads: list[str], pairs: Rows, number: bool) -> Rows:
    """All pairs of possible values, when they are few, besides those that were seen."""
    if number:
        sides = [np.arange(int(network.column(name).max()) + 1) for name in reads]
    else:
        sides = [np.array([k for k in range(network.shape.width) if _possible(network, n, k)]) for n in reads]
    if len(sides[0]) * len(sides[1]) > MOST_PAIRS:
        return pairs
    grid = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)
    if reads[0] == reads[1]:
        grid = grid[grid[:, 0] == grid[:, 1]]
    if ONES in reads:
        grid = grid[grid[:, reads.index(ONES)] == 1]
    return np.unique(np.concatenate([pairs, grid]), axis=0)


def _classifier(network: _Network) -> Classifier:
    """The linear classifier over the variables that matter, its numbers rounded as far as no prediction changes."""
    seen, classes = network.seen, network.task.classes
    rows = _unique(seen.rows[seen.scored])
    weights = network.weights["classifier.categorical"].double().numpy()
    factors = network.weights["classifier.numerical"].double().numpy()
    count = len(network.categorical)
    # A constant added to all classes of a row of scores changes nothing: centred rows compare and round better.
    weights, factors = weights - weights.mean(-1, keepdims=True), factors - factors.mean(-1, keepdims=True)
    # Float32, because that is what the network computes in.
    predicted = _predictions(rows, network.weights, count)
    kept, bias = _kept(rows, weights, factors, predicted, drop=seen.complete)
    names = network.categorical + network.numerical
    tables = {k: weights[k] for k in kept if k < count}
    factor = {k: factors[k - count] for k in kept if k >= count}
    if tables:  # every table gives exactly one row, so a constant may live in any of them
        first = next(iter(tables))
        tables[first] = tables[first] + bias
    elif np.abs(bias).max() > 0 or not factor:
        factor[count] = factor.get(count, np.zeros(len(classes))) + bias
    if seen.complete and len(tables) + len([k for k in factor if k != count]) <= 1:
        chosen = next(iter(tables), next((k for k in factor if k != count), count))
        pairs = dict(zip(rows[:, chosen].tolist(), predicted.tolist()))
        total = _totals(rows, tables, factor).argmax(1)
        if np.array_equal(total, predicted):
            meaning = network.values[names[chosen]].__getitem__ if chosen < count else int
            answers: dict[Value, str] = {meaning(v): classes[c] for v, c in sorted(pairs.items())}
            return Classifier(classes, {}, {}, (names[chosen], answers))
    for digits in range(1, 7):
        tables_now = {k: table.round(digits) for k, table in tables.items()}
        factor_now = {k: row.round(digits) for k, row in factor.items()}
        if np.array_equal(_totals(rows, tables_now, factor_now).argmax(1), predicted):
            break
    used = {k: sorted(set(rows[:, k].tolist())) if seen.complete else range(network.shape.width) for k in tables_now}
    return Classifier(
        classes,
        {
            names[k]: {
                network.values[names[k]][v]: tuple(table[v].tolist())
                for v in used[k]
                if _possible(network, names[k], v)
            }
            for k, table in tables_now.items()
        },
        {names[k]: tuple(row.tolist()) for k, row in factor_now.items()},
    )


def _predictions(rows: Rows, weights: Weights, count: int) -> Int[np.ndarray, " row"]:
    total = np.zeros((len(rows), weights["classifier.categorical"].shape[2]))
    for k, table in enumerate(weights["classifier.categorical"].double().numpy()):
        total += table[rows[:, k]]
    total += rows[:, count:] @ weights["classifier.numerical"].double().numpy()
    return np.asarray(total.argmax(1))


def _totals(rows: Rows, tables: dict[int, Any], factors: dict[int, Any]) -> Any:
    parts = [table[rows[:, k]] for k, table in tables.items()]
    parts += [rows[:, k, None] * row for k, row in factors.items()]
    return np.sum(parts, axis=0)


def _kept(
    rows: Rows, weights: Any, factors: Any, predicted: Int[np.ndarray, " row"], *, drop: bool
) -> tuple[list[int], Any]:
    """The variables the classifier needs, and the constant that stands for the others: those with the least to say are
    tried first, and left out when no prediction changes."""
    count, variables = len(weights), len(weights) + len(factors)
    total, influence = _totals(rows, dict(enumerate(weights)), {count + k: f for k, f in enumerate(factors)}), []
    for k in range(variables):
        part = weights[k][rows[:, k]] if k < count else rows[:, k, None] * factors[k - count]
        influence.append(float(np.ptp(part, axis=0).max()))
    bias, kept = np.zeros(total.shape[1]), list(range(variables))
    for k in sorted(kept, key=lambda k: influence[k]):
        if not drop and k != count:  # `ones` is constant whatever the input
            continue
        part = weights[k][rows[:, k]] if k < count else rows[:, k, None] * factors[k - count]
        without = total - part + part.mean(axis=0)
        if np.array_equal(without.argmax(1), predicted):
            total, bias = without, bias + part.mean(axis=0)
            kept.remove(k)
    return kept, bias
