"""Screened in bfloat16, sweeps decide as they do in single precision, also where two heads are nearly alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.sweeps.screening import has_bf16_units, sample_of, screening_model, undecided_rank
from engine.circuits.sweeps.sweep_operations import HeadSweep, Rule, head_sweep
from sessions.errors import CancelledError


def asked(**more: Any) -> HeadSweep:
    return HeadSweep(model="@1", prompts="@2", **more)


def sizes_of(desk: Any, **more: Any) -> Any:
    heads, *_ = head_sweep(asked(mlps=False, **more), desk)
    desk.saved.clear()
    return np.abs(heads.values.flatten())


@pytest.mark.parametrize("metric", ["logit_diff", "loss", "accuracy"])
@pytest.mark.parametrize("top", [1, 3, 6])
def test_the_same_heads_are_marked_as_in_single_precision(desk: Any, metric: str, top: int) -> None:
    plain, *_ = head_sweep(asked(top=top, metric=metric), desk)
    desk.saved.clear()
    quick, _, table = head_sweep(asked(top=top, metric=metric, screen="bf16"), desk)
    assert plain.marks == quick.marks
    assert len(plain.marks) == top
    assert quick.facts["heads_recomputed"] + quick.facts["heads_screened"] == 12
    by_name = {row[0]: row for row in table.rows}
    for layer in range(3):
        assert not by_name[f"mlp{layer}"][-1]
        for head in range(4):
            *_, rough = by_name[f"L{layer}H{head}"]
            off = abs(quick.values[layer, head] - plain.values[layer, head])
            # what was done in both formats is the same number; what was not is known to the measured error or so
            assert off <= (max(4 * quick.facts["screen_error"], 2 / 12) if rough else 1e-5)


def test_a_threshold_between_two_formats_is_decided_by_the_exact_one(desk: Any) -> None:
    exact = sizes_of(desk)
    for size in exact[[1, 5, 11]]:
        for matters in (float(size) - 1e-4, float(size) + 1e-4):  # far within bfloat16's error, and beyond float32's
            desk.saved.clear()
            heads, *_ = head_sweep(asked(mlps=False, matters=matters, screen="bf16"), desk)
            assert {4 * layer + head for layer, head in heads.marks} == set(np.flatnonzero(exact > matters).tolist())


def test_what_bfloat16_alone_would_decide_wrongly_exists(desk: Any, pair: Any) -> None:
    # The two tests above would pass without any recomputation if bfloat16 were never wrong.
    from engine.circuits.asking import ask
    from engine.circuits.sweeps.head_sweep import components_of
    from engine.circuits.sweeps.head_values import HeadValues

    runs = ask(asked(), desk).runs()
    found = HeadValues(desk, runs, components_of(3, 4, mlps=False), 16)
    list(found.measure(np.ones(12, bool)))
    list(found.measure(np.ones(12, bool), pair.ours.in_dtype(torch.bfloat16)))
    rough = np.abs(found.rough.astype(float).mean(1) - float(runs.clean.double().mean()))
    exact = np.abs(found.exact.astype(float).mean(1) - float(runs.clean.double().mean()))
    assert 2e-4 < found.error < 0.2
    assert np.abs(rough - exact)[[1, 5, 11]].max() > 2e-4


@pytest.mark.parametrize("stop", [1, 4, 6])
def test_a_screened_sweep_goes_on_where_it_stopped(desk: Any, stop: int) -> None:
    whole, *_ = head_sweep(asked(screen="bf16", top=2), desk)
    desk.saved.clear()
    desk.stop_after = stop
    with pytest.raises(CancelledError):
        head_sweep(asked(screen="bf16", top=2), desk)
    assert len(desk.saved) == stop
    desk.stop_after = None
    again, *_ = head_sweep(asked(screen="bf16", top=2), desk)  # the Desk refuses a unit that is done twice
    assert np.array_equal(whole.values, again.values)
    assert whole.facts == again.facts


def test_undecided_ranks_are_those_some_order_within_the_bounds_changes() -> None:
    numbers = np.random.default_rng(0)
    for _ in range(40):
        sizes, top = numbers.normal(size=9), int(numbers.integers(0, 10))
        bounds = np.where(numbers.random(9) < 0.3, 0.0, 0.4)
        found = undecided_rank(sizes, bounds, top)
        for unit in range(9):
            others = np.arange(9) != unit
            best = np.where(others, sizes - bounds, sizes + bounds)
            worst = np.where(others, sizes + bounds, sizes - bounds)
            can = Rule(top).chosen(best)[unit]
            must = Rule(top).chosen(worst)[unit]
            assert found[unit] == (can != must)


def test_the_sample_is_spread_over_layers_and_heads() -> None:
    chosen = np.flatnonzero(sample_of(144, 12))
    assert set(chosen // 12) == set(range(12)) - ({11} if len(chosen) < 12 else set())
    assert len(set(chosen % 12)) >= 11
    assert sample_of(12, 4).sum() >= 8
    assert sample_of(3, 3).all()


def test_automatic_screening_is_where_the_hardware_is(
    pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_units, without = tmp_path / "with", tmp_path / "without"
    with_units.write_text("flags : fpu avx512_bf16 amx_bf16\n")
    without.write_text("flags : fpu avx2\n")
    assert has_bf16_units("cpu", with_units)
    assert not has_bf16_units("cpu", without)
    assert not has_bf16_units("cpu", tmp_path / "nothing")
    assert not has_bf16_units("mps", with_units)
    monkeypatch.setattr("engine.circuits.sweeps.screening.has_bf16_units", lambda device: False)
    through, words = screening_model(pair.ours, "auto")
    assert through is None
    assert "no bfloat16 matrix units on cpu" in words
    through, words = screening_model(pair.ours.in_dtype(torch.bfloat16), "bf16")
    assert through is None
    assert "itself is in bfloat16" in words
    through, _ = screening_model(pair.ours, "bf16")
    assert through is not None
    assert through.dtype == torch.bfloat16
    assert pair.ours.weights.embed.dtype == torch.float32
