"""Metrics on logits small enough to do by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from engine.circuits.metrics import METRICS, Targets, within_slack
from engine.circuits.runs import PromptRuns
from engine.prompts.tokenized import TokenBatch

LOG2, LOG4 = math.log(2), math.log(4)
# One example, two scored positions, probabilities (1/2, 1/4, 1/4) and (1/8, 1/8, 3/4).
LOGITS = torch.tensor([[[LOG2, 0.0, 0.0], [0.0, 0.0, math.log(6)]]], dtype=torch.float64)


def targets(
    answers: list[list[int]], foils: list[list[int]] | None = None, clean: torch.Tensor | None = None
) -> Targets:
    return Targets(torch.tensor([answers]), None if foils is None else torch.tensor([foils]), clean)


def value(name: str, given: Targets) -> float:
    return float(METRICS[name].function(LOGITS, given)[0])


def test_logit_difference_is_averaged_over_scored_positions() -> None:
    assert value("logit_diff", targets([[0], [2]], [[1], [0]])) == pytest.approx((LOG2 + math.log(6)) / 2)


def test_logit_difference_of_several_answers_is_that_of_their_means() -> None:
    given = targets([[0, 1], [2, -1]], [[2, -1], [0, 1]])
    assert value("logit_diff", given) == pytest.approx((LOG2 / 2 + math.log(6)) / 2)


def test_loss_is_in_nats() -> None:
    assert value("loss", targets([[0], [2]])) == pytest.approx((LOG2 + math.log(4 / 3)) / 2)


def test_loss_of_several_answers_is_that_of_any_of_them() -> None:
    assert value("loss", targets([[0, 1], [2, -1]])) == pytest.approx((math.log(4 / 3) + math.log(4 / 3)) / 2)


def test_accuracy_looks_at_the_whole_vocabulary() -> None:
    assert value("accuracy", targets([[0], [2]])) == 1.0
    assert value("accuracy", targets([[0], [0]])) == 0.5
    assert value("accuracy", targets([[1, 0], [0, 1]])) == 0.5  # any of several will do


def test_kl_is_from_the_clean_model_and_zero_for_itself() -> None:
    uniform = torch.full((1, 2, 3), 1 / 3, dtype=torch.float64).log()
    expected = sum(
        sum(1 / 3 * (math.log(1 / 3) - math.log(q)) for q in row)
        for row in ((1 / 2, 1 / 4, 1 / 4), (1 / 8, 1 / 8, 3 / 4))
    )
    assert value("kl", targets([[0], [2]], clean=uniform)) == pytest.approx(expected / 2)
    itself = LOGITS.log_softmax(-1)
    assert value("kl", targets([[0], [2]], clean=itself)) == pytest.approx(0.0, abs=1e-12)


def test_probability_difference_sums_over_answers_and_foils() -> None:
    given = targets([[0, 1], [2, -1]], [[2, -1], [0, 1]])
    assert value("prob_diff", given) == pytest.approx((0.5 + 0.5) / 2)


def test_lead_over_the_best_foil_takes_the_largest_of_several() -> None:
    logits = LOGITS[0]
    expected = [float(logits[0, 2] - max(logits[0, 0], logits[0, 1])), float(max(logits[1, :2]) - logits[1, 2])]
    assert value("logit_diff_max", targets([[2, -1], [0, 1]], [[0, 1], [2, -1]])) == pytest.approx(sum(expected) / 2)


def test_the_best_of_several_foils_is_found_among_the_columns_that_are_kept(
    pair: Any, batch: TokenBatch, naive: Callable[..., torch.Tensor]
) -> None:
    foils = torch.randint(0, 23, (len(batch.tokens), 5), generator=torch.Generator().manual_seed(1))
    foils[::2, 3:] = -1  # rows with fewer
    several = batch._replace(foils=foils[:, :1], all_foils=foils, all_answers=batch.answers)
    runs = PromptRuns(pair.ours, several, METRICS["logit_diff_max"])
    expected = naive("logit_diff_max", pair.hooked, several, (), "zero")
    torch.testing.assert_close(runs.clean.double(), expected.double(), rtol=1e-4, atol=1e-4)  # float32, other order


@pytest.mark.parametrize("name", ["logit_diff", "logit_diff_max"])
def test_missing_foils_are_named(name: str) -> None:
    with pytest.raises(ValueError, match="foils"):
        value(name, targets([[0], [2]]))


def test_directions() -> None:
    higher = {name for name, metric in METRICS.items() if metric.higher_is_better}
    assert higher == {"logit_diff", "logit_diff_max", "accuracy", "prob_diff"}
    assert METRICS["loss"].performance(2.0) == -2.0


@pytest.mark.parametrize("name", sorted(METRICS))
def test_bounds_hold_for_logits_that_are_off_by_the_slack(name: str) -> None:
    numbers = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 40, 2, 7, generator=numbers, dtype=torch.float64)
    clean = torch.randn(40, 2, 7, generator=numbers, dtype=torch.float64).log_softmax(-1)
    answers = torch.randint(0, 7, (40, 2, 2), generator=numbers)
    answers[::3, :, 1] = -1
    foils = torch.randint(0, 7, (40, 2, 2), generator=numbers)
    given = Targets(answers, foils, clean, clean_logits=2 * clean)
    low, high = within_slack(METRICS[name], logits, given, 0.1)
    for _ in range(20):
        off = logits + 0.1 * (2 * torch.rand(logits.shape, generator=numbers, dtype=torch.float64) - 1)
        moved = METRICS[name].function(off, given)
        assert bool((low <= moved).all())
        assert bool((moved <= high).all())
    plain = METRICS[name].function(logits, given)
    assert bool((low <= plain).all())
    assert bool((plain <= high).all())
    if name == "accuracy":  # most examples are clear-cut: the bounds must not give up on all of them
        assert float((low == high).double().mean()) > 0.5
