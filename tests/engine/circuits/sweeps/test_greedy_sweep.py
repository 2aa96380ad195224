"""The greedy sweep decides as the seed study's algorithm does, one hooked pass at a time, however it is batched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.bootstrap import PairedBootstrap
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from engine.circuits.sweeps.greedy_sweep import Decision, greedy_sweep
from sessions.components import Head

HIGHER = {"logit_diff": 1, "accuracy": 1, "loss": -1, "kl": -1}


def answered(pair: Any, batch: Any) -> Any:
    """The batch with the model's own predictions as answers, so that there is something to lose."""
    logits = pair.hooked(batch.tokens).detach()
    return batch._replace(answers=torch.stack([row[at].argmax(-1) for row, at in zip(logits, batch.at)]))


def slow_sweep(naive: Any, pair: Any, batch: Any, metric: str, theta: float, ablation: str) -> list[tuple[Head, bool]]:
    gone: list[Head] = []
    verdicts = []
    for layer in range(pair.ours.config.n_layers):
        base = float(naive(metric, pair.hooked, batch, gone, ablation).mean())
        for head in range(pair.ours.config.n_heads):
            value = float(naive(metric, pair.hooked, batch, [*gone, Head(layer, head)], ablation).mean())
            removed = HIGHER[metric] * (base - value) <= theta + 1e-7
            verdicts.append((Head(layer, head), removed))
            if removed:
                gone.append(Head(layer, head))
    return verdicts


def swept(runs: PromptRuns, **options: Any) -> list[Decision]:
    held_out = options.pop("held_out", None)
    return [decision for made in greedy_sweep(runs, held_out, **options) for decision in made]


@pytest.mark.parametrize(
    ("metric", "theta", "ablation", "shape"),
    [
        ("logit_diff", -0.05, "zero", "pair"),
        ("logit_diff", 0.4, "resample", "parallel_pair"),
        ("accuracy", 0.12, "zero", "attn_only_pair"),
        ("loss", 0.05, "mean", "pair"),
        ("kl", 0.2, "zero", "parallel_pair"),
    ],
)
def test_same_decisions_as_one_pass_at_a_time(
    request: pytest.FixtureRequest, batches: Any, naive: Any, metric: str, theta: float, ablation: Any, shape: str
) -> None:
    pair = request.getfixturevalue(shape)
    batch = answered(pair, batches(rows=9, seed=4))
    decisions = swept(PromptRuns(pair.ours, batch, METRICS[metric], ablation, rows=4), theta=theta)
    verdicts = [(decision.component, decision.removed) for decision in decisions]
    assert verdicts == slow_sweep(naive, pair, batch, metric, theta, ablation)
    assert {removed for _, removed in verdicts} == {True, False}  # a theta that tells something apart


@pytest.mark.parametrize("metric", ["logit_diff", "accuracy", "loss"])
def test_guessing_ahead_changes_no_decision(pair: Any, batches: Any, metric: str) -> None:
    batch = answered(pair, batches(rows=20, seed=6, ragged=True))
    for theta in (-0.02, 0.0, 0.05, 0.3, 100.0):
        plain = swept(PromptRuns(pair.ours, batch, METRICS[metric], "mean"), theta=theta, chain=1)
        for chain in (2, 4):
            guessed = swept(PromptRuns(pair.ours, batch, METRICS[metric], "mean"), theta=theta, chain=chain)
            assert [d.removed for d in guessed] == [d.removed for d in plain]
            assert np.allclose([d.value for d in guessed], [d.value for d in plain], atol=1e-5)


def test_a_drop_that_equals_theta_is_decided_alone_and_alike(pair: Any, batches: Any) -> None:
    batch = answered(pair, batches(rows=20, seed=6))
    runs = PromptRuns(pair.ours, batch, METRICS["loss"], "zero")
    everything = swept(runs, theta=100.0, chain=1)
    on_the_edge = everything[2].drop
    plain = swept(runs, theta=on_the_edge, chain=1)
    guessed = swept(runs, theta=on_the_edge, chain=4)
    assert [d.removed for d in guessed] == [d.removed for d in plain]


def test_misses_are_counted_as_a_person_counts_them(pair: Any, batches: Any) -> None:
    # 0.97 - 0.94 is above 0.03 in floating point, and three misses of a hundred are still 0.03
    runs = PromptRuns(pair.ours, answered(pair, batches(rows=100, seed=8)), METRICS["accuracy"])
    assert float(runs.clean.mean()) == 1.0
    misses = round(100 * swept(runs, theta=1.0)[0].drop)
    assert misses > 0
    assert swept(runs, theta=misses / 100)[0].removed
    assert not swept(runs, theta=(misses - 1) / 100)[0].removed


def test_the_base_is_measured_at_each_layers_start(pair: Any, batch: Any) -> None:
    runs = PromptRuns(pair.ours, batch, METRICS["logit_diff"])
    decisions = swept(runs, theta=0.3)
    assert decisions[0].base == pytest.approx(float(runs.clean.double().mean()), abs=1e-6)
    for layer in (1, 2):
        before = [d for d in decisions if d.layer < layer]
        bases = {d.base for d in decisions if d.layer == layer}
        assert len(bases) == 1
        removed = [d for d in before if d.removed]
        assert bases.pop() == pytest.approx(removed[-1].value, abs=1e-5)  # the same heads in another batch


def test_held_out_prompts_are_measured_after_every_removal(pair: Any, batches: Any, naive: Any) -> None:
    select, other = answered(pair, batches(rows=8, seed=1)), batches(rows=11, seed=2)
    held_out = PromptRuns(pair.ours, other, METRICS["loss"], rows=6)
    bootstrap = PairedBootstrap(11, seed=5)
    decisions = swept(PromptRuns(pair.ours, select, METRICS["loss"]), theta=0.2, held_out=held_out, bootstrap=bootstrap)
    gone: list[Head] = []
    for decision in decisions:
        if not decision.removed:
            assert decision.held_out is None
            continue
        gone.append(decision.component)
        expected = naive("loss", pair.hooked, other, gone, "zero")
        assert decision.held_out == pytest.approx(float(expected.mean()), abs=1e-4)
        assert decision.low is not None
        assert decision.high is not None
        assert decision.low <= decision.held_out <= decision.high
    assert gone


@pytest.mark.parametrize("known", [1, 4, 7, 11])
def test_an_interrupted_sweep_goes_on_to_the_same_end(pair: Any, batches: Any, known: int) -> None:
    select, other = answered(pair, batches(rows=8, seed=1)), batches(rows=6, seed=2)

    def go(decided: list[Decision]) -> list[tuple[Decision, ...]]:
        return list(
            greedy_sweep(
                PromptRuns(pair.ours, select, METRICS["loss"]),
                PromptRuns(pair.ours, other, METRICS["loss"]),
                theta=0.1,
                bootstrap=PairedBootstrap(6, seed=0),
                decided=decided,
            )
        )

    whole = go([])
    chains: list[Decision] = []
    for made in whole:  # what was finished when it stopped: whole chains
        if len(chains) >= known:
            break
        chains.extend(made)
    rest = [decision for made in go(chains) for decision in made]
    assert chains + rest == [decision for made in whole for decision in made]


def test_the_paired_interval_covers_a_known_mean() -> None:
    # 95 % intervals of 200 samples of a normal: between 180 and 199 of them hold the true mean, but for 1 in 1,000.
    numbers = np.random.default_rng(0)
    bootstrap = PairedBootstrap(60, seed=1)
    holds = 0
    for _ in range(200):
        low, high = bootstrap.interval(numbers.normal(0.5, 1.0, 60))
        holds += low <= 0.5 <= high
    assert 180 <= holds <= 199


def test_zero_heads_to_miss_is_the_clean_run(pair: Any, batch: Any) -> None:
    runs = PromptRuns(pair.ours, batch._replace(corrupt=batch.tokens), METRICS["logit_diff"], "resample")
    decisions = swept(runs, theta=1e-3)
    assert all(decision.removed for decision in decisions)
    assert torch.allclose(runs.clean.mean(), torch.tensor(decisions[-1].value), atol=1e-5)
