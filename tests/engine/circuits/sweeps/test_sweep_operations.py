"""The head sweep as an operation: facts, partial results, interruption, and the way on from there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.circuits.sweeps.sweep_operations import HeadSweep, head_sweep
from engine.prompts.tokenized import tokenize
from sessions.codec import decode, encode
from sessions.components import Head, parse_component
from sessions.errors import CallError, CancelledError


def asked(**more: Any) -> HeadSweep:
    return HeadSweep(model="@1", prompts="@2", **more)


def test_heatmap_table_and_facts(desk: Any, pair: Any, naive: Any) -> None:
    heads, mlps, table = head_sweep(asked(ablation="mean"), desk)
    assert heads.values.shape == (3, 4)
    assert mlps.values.shape == (3, 1)
    assert heads.scale == "diverging"
    assert [axis.name for axis in heads.axes] == ["layer", "head"]
    assert heads.axes[1].labels == ("H0", "H1", "H2", "H3")
    batch = tokenize(desk.inputs["@2"].rows, pair.ours.tokenizer, n_ctx=16, need_corrupt=True, need_foils=True)
    clean = naive("logit_diff", pair.hooked, batch, [], "zero").mean()
    changed = naive("logit_diff", pair.hooked, batch, [Head(2, 1)], "mean").mean() - clean
    assert heads.values[2, 1] == pytest.approx(float(changed), abs=1e-4)  # float32 sums of a dozen logits
    assert heads.facts["clean"] == pytest.approx(float(clean), abs=1e-4)
    assert heads.facts["n"] == 12
    assert heads.facts["weights"] == "as trained"
    assert "per position" in heads.facts["replacement"]
    changes = [row[1] for row in table.rows]
    assert changes == sorted(changes)  # the metric is better when higher: the greatest loss comes first
    assert len(changes) == 15
    by_name = {row[0]: row for row in table.rows}
    assert by_name["L2H1"][1] == pytest.approx(float(heads.values[2, 1]), abs=1e-6)
    for artifact in (heads, mlps, table):
        assert encode(decode(encode(artifact))) == encode(artifact)


def test_the_heatmap_fills_in_layer_by_layer(desk: Any) -> None:
    head_sweep(asked(), desk)
    known = [int(np.isfinite(partial.values).sum()) for partial in desk.partials]
    assert known == [4, 8, 12]
    assert desk.reports[-1][:2] == (15 * 12, 15 * 12)


@pytest.mark.parametrize("stop", [0, 1, 4])
def test_an_interrupted_sweep_goes_on_where_it_stopped(desk: Any, stop: int) -> None:
    whole = head_sweep(asked(metric="loss"), desk)
    units = len(desk.saved)
    desk.saved.clear()
    desk.stop_after = stop
    with pytest.raises(CancelledError):
        head_sweep(asked(metric="loss"), desk)
    assert len(desk.saved) == stop < units
    desk.stop_after = None
    again = head_sweep(asked(metric="loss"), desk)  # the Desk refuses a unit that is done twice
    assert len(desk.saved) == units
    assert [encode(a) for a in again] == [encode(a) for a in whole]


def test_a_resumed_sweep_may_use_another_batch(desk: Any) -> None:
    whole = head_sweep(asked(), desk)
    desk.saved.clear()
    desk.stop_after = 3
    with pytest.raises(CancelledError):
        head_sweep(asked(batch=5), desk)
    desk.stop_after = None
    again = head_sweep(asked(batch=4), desk)
    # batches of other shapes round differently
    assert np.allclose(whole[0].values, again[0].values, atol=1e-5)


def test_loss_ranks_a_rise_as_the_greatest_damage(desk: Any) -> None:
    *_, table = head_sweep(asked(metric="loss", mlps=False), desk)
    changes = [row[1] for row in table.rows]
    assert changes == sorted(changes, reverse=True)
    assert {type(parse_component(str(row[0]))) for row in table.rows} == {Head}


def test_prompts_that_do_not_fit_are_refused_in_one_sentence(desk: Any) -> None:
    rows = desk.inputs["@2"].rows
    desk.inputs["@2"] = type(desk.inputs["@2"])(title="none", task="x", rows=())
    with pytest.raises(CallError, match="empty"):
        head_sweep(asked(), desk)
    desk.inputs["@2"] = desk.inputs["@1"].handle
    with pytest.raises(CallError, match="not prompts"):
        head_sweep(asked(), desk)
    assert rows


def test_there_is_a_chance_to_stop_before_every_batch(desk: Any) -> None:
    head_sweep(asked(batch=4), desk)
    # 12 prompts in chunks of 4: 3 clean passes; 3 layers of 4 heads and an MLP, one by one on each chunk
    batches = 3 + 3 * 3 * (4 + 1)
    assert len(desk.saved) == batches - 3
    assert len(desk.reports) >= 2 * (batches - 3)  # one before each batch, and one after it with the count
