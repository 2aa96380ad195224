"""Several networks from different beginnings, one after the other, until one is good enough: which is kept, and how the
work is taken up again. A network that finds no program early seldom finds one later; a new beginning often does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from engine.rasp.transformer_programs.gates import hard, soft
from engine.rasp.transformer_programs.model import Shape, Weights
from engine.rasp.transformer_programs.readout import refit
from engine.rasp.transformer_programs.tasks import Data
from engine.rasp.transformer_programs.training import Progress, Recipe, Training, accuracy

SAVES = 20  # checkpoints in one training


class Attempt(NamedTuple):
    """One trained network and its curves. `validation`: the share of positions that the discrete network gets right,
    what attempts are compared by. Of the test positions: as trained with soft choices, with hard ones, and in the end,
    after its classifier was fitted again."""

    number: int
    weights: Weights
    history: list[Progress]
    validation: float
    test_soft: float
    test_hard: float
    test: float


class Watch(NamedTuple):
    """What the outside is told and may keep. `saved`: what `keep` was given in an earlier, interrupted run."""

    batch: Callable[[int, int], None]  # (attempt, epochs done)
    epoch: Callable[[int, list[Progress]], None]
    keep: Callable[[str, Any], None]
    saved: dict[str, Any]


def attempts(
    shape: Shape, data: Data, recipe: Recipe, *, seed: int, most: int, enough: float, fit: bool, watch: Watch
) -> list[Attempt]:
    """Up to `most` networks, until a discrete one gets the share `enough` of the validation positions right. `fit`: fit
    each one's classifier again when it is trained."""
    found: list[Attempt] = []
    for number in range(most):
        unit = f"attempt {number}"
        if unit in watch.saved:
            found.append(_restored(number, watch.saved[unit]))
        else:
            found.append(_attempt(number, shape, data, recipe, seed, fit, watch))
            watch.keep(unit, _plain(found[-1]))
        if found[-1].validation >= enough:
            break
    return found


def best(found: list[Attempt]) -> Attempt:
    """By validation, discrete; the first of equals."""
    return max(found, key=lambda attempt: attempt.validation)


def _attempt(number: int, shape: Shape, data: Data, recipe: Recipe, seed: int, fit: bool, watch: Watch) -> Attempt:
    # Beginnings of one seed must not be those of the next: 7 and its second attempt, 8 and its first.
    training = Training(shape, data, recipe, (seed + 1) * 1009 + number)
    prefix = f"attempt {number} epoch "
    reached = [int(name.removeprefix(prefix)) for name in watch.saved if name.startswith(prefix)]
    if reached:
        training.restore(watch.saved[f"{prefix}{max(reached)}"])
    every = max(recipe.epochs // SAVES, 1)
    while (done := len(training.history)) < recipe.epochs:
        training.epoch(between=lambda done=done: watch.batch(number, done))  # type: ignore[misc]
        watch.epoch(number, training.history)
        if (done + 1) % every == 0 and done + 1 < recipe.epochs:
            watch.keep(f"{prefix}{done + 1}", training.state())
    weights = training.trained()
    final = refit(shape, weights, data) if fit else weights
    return Attempt(
        number,
        final,
        training.history,
        accuracy(shape, final, data.validation, hard),
        accuracy(shape, weights, data.test, soft(recipe.last_temperature)),
        accuracy(shape, weights, data.test, hard),
        accuracy(shape, final, data.test, hard),
    )


def _plain(attempt: Attempt) -> dict[str, Any]:
    return {
        "weights": {name: weight.numpy() for name, weight in attempt.weights.items()},
        "history": [list(progress) for progress in attempt.history],
        "shares": [attempt.validation, attempt.test_soft, attempt.test_hard, attempt.test],
    }


def _restored(number: int, saved: dict[str, Any]) -> Attempt:
    weights = {name: torch.tensor(array) for name, array in saved["weights"].items()}
    return Attempt(number, weights, [Progress(*row) for row in saved["history"]], *saved["shares"])
