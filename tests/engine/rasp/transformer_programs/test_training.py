"""A tiny task is learned; stopping and going on changes nothing; the classifier fitted again is never worse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.rasp.transformer_programs.gates import hard
from engine.rasp.transformer_programs.readout import observed_cases, refit
from engine.rasp.transformer_programs.restarts import Watch, attempts, best
from engine.rasp.transformer_programs.settings import SIZES, shape_of
from engine.rasp.transformer_programs.tasks import make_data, make_task
from engine.rasp.transformer_programs.training import Recipe, Training, accuracy
from tests.engine.rasp.transformer_programs.networks import random_network

TASK = make_task("hist", vocabulary=5, length=5)
SHAPE = shape_of(TASK, categorical_heads=1, numerical_heads=1, hidden=8)
DATA = make_data(TASK, 100, np.random.default_rng(0))
RECIPE = Recipe(epochs=4, batch=32)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def trained(saved: dict[str, Any], stop_at: str = "", most: int = 2) -> tuple[list[Any], dict[str, Any]]:
    kept: dict[str, Any] = dict(saved)

    def keep(unit: str, value: Any) -> None:
        assert unit not in kept, "a finished unit was done again"
        kept[unit] = value
        if unit == stop_at:
            raise KeyboardInterrupt

    watch = Watch(lambda number, done: None, lambda number, history: None, keep, dict(saved))
    return attempts(SHAPE, DATA, RECIPE, seed=1, most=most, enough=1.0, fit=True, watch=watch), kept


@pytest.mark.parametrize("unit", ["attempt 0 epoch 2", "attempt 0", "attempt 1 epoch 3"])
def test_an_interrupted_training_goes_on_as_if_nothing_had_been(unit: str) -> None:
    whole, _ = trained({})
    stopped: dict[str, Any] = {}
    with pytest.raises(KeyboardInterrupt):
        _interrupted(stopped, unit)
    assert unit in stopped
    again, _ = trained(stopped)
    assert [a.history for a in again] == [a.history for a in whole]
    assert all(same(a.weights, b.weights) for a, b in zip(again, whole))


def _interrupted(stopped: dict[str, Any], unit: str) -> None:
    def keep(name: str, value: Any) -> None:
        stopped[name] = value
        if name == unit:
            raise KeyboardInterrupt

    watch = Watch(lambda number, done: None, lambda number, history: None, keep, {})
    attempts(SHAPE, DATA, RECIPE, seed=1, most=2, enough=1.0, fit=True, watch=watch)


def test_the_same_seed_gives_the_same_network_and_another_another() -> None:
    runs = []
    for seed in (0, 0, 1):
        training = Training(SHAPE, DATA, RECIPE, seed)
        training.epoch()
        runs.append(training.trained())
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_a_small_histogram_is_learned() -> None:
    found = []
    for seed in range(4):  # some beginnings lead nowhere: what attempts are for
        training = Training(SHAPE, DATA, Recipe(epochs=60, batch=32), seed)
        while len(training.history) < 60:
            training.epoch()
        weights = refit(SHAPE, training.trained(), DATA)
        found.append(accuracy(SHAPE, weights, DATA.test, hard))
        if found[-1] == 1.0:
            break
    assert max(found) == 1.0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["sort", "dyck1"])
def test_a_classifier_fitted_again_is_never_worse_on_the_validation_set(name: str, seed: int) -> None:
    task, shape, weights = random_network(name, seed)
    data = make_data(task, 300, np.random.default_rng(seed))
    fitted = refit(shape, weights, data)
    before, after = (accuracy(shape, w, data.validation, hard) for w in (weights, fitted))
    assert after >= before
    changed = {name for name in weights if not torch.equal(weights[name], fitted[name])}
    assert changed <= {"classifier.categorical", "classifier.numerical"}


def test_cases_count_every_predicted_position() -> None:
    task, shape, weights = random_network("sort", 0)
    data = make_data(task, 100, np.random.default_rng(0))
    cases = observed_cases(shape, weights, data.train)
    assert cases.counts.sum() == (data.train.targets >= 0).sum()


def test_the_best_attempt_is_the_one_that_validates_best() -> None:
    found, _ = trained({})
    assert best(found).validation == max(a.validation for a in found)
    assert set(SIZES) == {make_task(name).name for name in SIZES}
