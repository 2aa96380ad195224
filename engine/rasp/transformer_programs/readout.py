"""The classifier fitted once more when all choices are hard: by then that is logistic regression, and soon solved.

Not in the paper. While the network trains, the classifier has to live with noise to the end, and gets classes that are
seldom seen wrong although the variables tell them apart; and it reads every variable a little. Here it reads as few as
do as well, which is what makes a program short.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.rasp.transformer_programs.gates import hard
from engine.rasp.transformer_programs.model import Shape, Weights, forward
from engine.rasp.transformer_programs.tasks import NO_TARGET, Data, Examples

ITERATIONS = 100
RIDGE = 1e-6
MOST_VARIABLES = 6  # tried before all are taken
NAMES = ("classifier.categorical", "classifier.numerical")


class Cases(NamedTuple):
    """The different combinations of variables and target that occur, and how often."""

    variables: Int[Tensor, "case variable"]  # categorical ones as indices, then numerical ones
    targets: Int[Tensor, " case"]
    counts: Float[Tensor, " case"]


def refit(shape: Shape, weights: Weights, data: Data) -> Weights:
    """The weights with the classifier that does best on the validation set: as trained, fitted to all variables, or,
    if that is as good, to few. Never worse on the validation set than before."""
    train, validation = (observed_cases(shape, weights, part) for part in (data.train, data.validation))
    everything = list(range(train.variables.shape[1]))
    best, reached = weights, _share(shape, weights, validation)
    fitted = {**weights, **_fit(shape, weights, train, everything)}
    if (share := _share(shape, fitted, validation)) > reached:
        best, reached = fitted, share
    chosen: list[int] = []
    while len(chosen) < min(MOST_VARIABLES, len(everything)):
        rest = [k for k in everything if k not in chosen]
        chosen.append(max(rest, key=lambda k: _told_apart(train, [*chosen, k])))
        fitted = {**weights, **_fit(shape, weights, train, chosen)}
        if _share(shape, fitted, validation) >= reached:
            return fitted
    return best


def observed_cases(shape: Shape, weights: Weights, examples: Examples) -> Cases:
    rows = []
    for ids, targets in zip(
        torch.split(torch.from_numpy(examples.ids), 4096), torch.split(torch.from_numpy(examples.targets), 4096)
    ):
        with torch.no_grad():
            stream = forward(shape, weights, ids, hard)
        columns = [stream.categorical.argmax(-1), stream.numerical.round().long(), targets[None]]
        rows.append(torch.cat(columns)[:, targets != NO_TARGET].T)
    cases, counts = torch.unique(torch.cat(rows), dim=0, return_counts=True)
    return Cases(cases[:, :-1], cases[:, -1], counts.float())


def _told_apart(cases: Cases, chosen: list[int]) -> float:
    """The positions right if every combination of the chosen variables got its most frequent class."""
    _, combination = torch.unique(cases.variables[:, chosen], dim=0, return_inverse=True)
    table = torch.zeros(int(combination.max()) + 1, int(cases.targets.max()) + 1)
    table.index_put_((combination, cases.targets), cases.counts, accumulate=True)
    # Of equals the one with fewer combinations: a rule rather than a register.
    return float(table.amax(1).sum()) - 1e-3 * len(table)


def _share(shape: Shape, weights: Weights, cases: Cases) -> float:
    split = shape.categorical(shape.layers)
    logits = cases.variables[:, split:].float() @ weights[NAMES[1]]
    for k, table in enumerate(weights[NAMES[0]]):
        logits = logits + table[cases.variables[:, k]]
    right = logits.argmax(1) == cases.targets
    return float((cases.counts * right).sum() / cases.counts.sum())


def _fit(shape: Shape, weights: Weights, cases: Cases, chosen: list[int]) -> Weights:
    """Logistic regression on the chosen variables; the other variables' scores become zero."""
    split, width = shape.categorical(shape.layers), shape.width
    tables, numbers = [k for k in chosen if k < split], [k for k in chosen if k > split]  # `ones` is always there
    one_hot = torch.nn.functional.one_hot(cases.variables[:, tables], width).flatten(1).float()
    sums = cases.variables[:, numbers].float()
    mean = sums.mean(0)
    scale = (sums - mean).square().mean(0).sqrt().clamp(min=1e-3)
    features = torch.cat([one_hot, (sums - mean) / scale, torch.ones(len(sums), 1)], dim=1)
    # A class that is rare counts for more than its share, or it would hardly count at all.
    importance = cases.counts.sqrt()
    importance = importance / importance.sum()
    matrix = torch.zeros(features.shape[1], shape.classes).requires_grad_()
    optimizer = torch.optim.LBFGS([matrix], max_iter=ITERATIONS, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = torch.nn.functional.cross_entropy(features @ matrix, cases.targets, reduction="none")
        loss = (losses * importance).sum() + RIDGE * (matrix**2).mean()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    fitted = matrix.detach()
    if not bool(torch.isfinite(fitted).all()):
        return {}
    found = {name: torch.zeros_like(weights[name]) for name in NAMES}
    for at, k in enumerate(tables):
        found[NAMES[0]][k] = fitted[at * width : (at + 1) * width]
    found[NAMES[1]][0] = fitted[-1]
    for at, k in enumerate(numbers):
        row = fitted[len(tables) * width + at] / scale[at]
        found[NAMES[1]][k - split] = row
        found[NAMES[1]][0] -= row * mean[at]
    return found
