"""Patching as a person asks for it: forms in, heatmaps and tables out, interruptions, and sentences for mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.interventions.activation_operations import ActivationPatching, activation_patching
from engine.circuits.interventions.path_operations import PathPatching, path_patching
from engine.operations import Params
from engine.prompts.tokenized import tokenize
from sessions.artifacts import PromptRow
from sessions.codec import decode, encode
from sessions.components import Embed, Head, Logits, Mlp
from sessions.errors import CallError, CancelledError


def activation(**more: Any) -> ActivationPatching:
    return ActivationPatching(model="@1", prompts="@2", metric="loss", **more)


def path(**more: Any) -> PathPatching:
    return PathPatching(model="@1", prompts="@2", metric="loss", **more)


def again(desk: Any) -> Any:
    return type(desk)(**desk.inputs)


def values_of(desk: Any, pair: Any, slowly: Any, logits: Any) -> float:
    batch = tokenize(desk.inputs["@2"].rows, pair.ours.tokenizer, n_ctx=16, need_corrupt=True, need_foils=True)
    return float(slowly["metric"]("loss", logits(batch).detach(), batch).mean())


@pytest.mark.parametrize("direction", ["denoising", "noising"])
def test_the_heatmap_is_the_share_of_the_way(desk: Any, pair: Any, slowly: Any, direction: Any) -> None:
    matrix, table = activation_patching(activation(direction=direction, site="attn_out"), desk)
    assert [axis.name for axis in matrix.axes] == ["layer", "position"]
    assert matrix.values.shape == (3, 6)
    assert matrix.axes[1].labels == ("0", "a1", "2", "3", "4", "end")  # by name where all prompts have it
    clean = values_of(desk, pair, slowly, lambda batch: pair.hooked(batch.tokens))
    corrupt = values_of(desk, pair, slowly, lambda batch: pair.hooked(batch.corrupt))
    base, donor = (corrupt, clean) if direction == "denoising" else (clean, corrupt)
    where = (torch.arange(6) == 1).expand(12, -1)
    one = values_of(desk, pair, slowly, lambda b: slowly["patch"](pair, b, direction, "attn_out", 1, 0, where))
    # single precision throughout: losses of order 3, and a quotient by about 0.1
    assert matrix.values[1, 1] == pytest.approx((one - base) / (donor - base), abs=1e-4)
    assert matrix.facts["m_clean"] == pytest.approx(clean, abs=1e-5)
    assert matrix.facts["m_corrupt"] == pytest.approx(corrupt, abs=1e-5)
    assert matrix.facts["patching"].startswith(direction)
    assert not {"ablation", "replacement"} & set(matrix.facts)  # nothing is ablated
    rows = {(row[0], row[1]): row for row in table.rows}
    assert len(rows) == 18
    assert rows["attn_out 1", "a1"][2] == pytest.approx(matrix.values[1, 1], abs=1e-6)
    assert rows["attn_out 1", "a1"][5] == pytest.approx(one, abs=1e-5)
    changes = [abs(row[4]) for row in table.rows]
    assert changes == sorted(changes, reverse=True)


@pytest.mark.parametrize(
    ("more", "axes", "shape"),
    [
        ({"site": "resid_pre"}, ["layer", "position"], (3, 6)),
        ({"site": "mlp_out", "positions": "all"}, ["layer", "position"], (3, 1)),
        ({"site": "z"}, ["layer", "head"], (3, 4)),
        ({"site": "q", "positions": "each"}, ["layer", "head", "position"], (3, 4, 6)),
        ({"site": "pattern", "positions": "each"}, ["layer", "head", "query"], (3, 4, 6)),
        ({"site": "v", "positions": "named"}, ["layer", "head", "position"], (3, 4, 2)),
        ({"site": "resid_pre", "positions": "named", "report": "metric"}, ["layer", "position"], (3, 2)),
    ],
)
def test_shapes_and_bytes(desk: Any, more: dict[str, Any], axes: list[str], shape: tuple[int, ...]) -> None:
    matrix, table = activation_patching(activation(**more), desk)
    assert [axis.name for axis in matrix.axes] == axes
    assert matrix.values.shape == shape
    assert np.isfinite(matrix.values).all()
    assert [len(axis.labels) for axis in matrix.axes] == list(shape)
    assert desk.partials
    assert desk.reports[-1][0] == desk.reports[-1][1]
    for artifact in (matrix, table):
        assert encode(decode(encode(artifact))) == encode(artifact)


def test_each_place_is_its_own_cell(desk: Any) -> None:
    """The positions called a1 and end are positions 1 and 5, and heads and layers are not mixed up."""
    named = activation_patching(activation(site="k", positions="named"), desk)[0]
    each = activation_patching(activation(site="k", positions="each"), again(desk))[0]
    assert named.axes[2].labels == ("a1", "end")
    assert np.allclose(named.values, each.values[:, :, [1, 5]], atol=1e-5)
    assert len({round(float(value), 6) for value in each.values[0, :, 1]}) == 4


@pytest.mark.parametrize("stop", [1, 2, 4])
@pytest.mark.parametrize(
    ("operation", "params"),
    [
        (activation_patching, activation(site="resid_pre", batch=24)),
        (activation_patching, activation(site="v", positions="each", batch=60)),
        (path_patching, path(senders="all", batch=24)),
        (path_patching, path(receivers="L2H0.q,L2H1.v", batch=24)),
    ],
)
def test_an_interrupted_run_ends_with_the_same_bytes(desk: Any, operation: Any, params: Params, stop: int) -> None:
    whole = operation(params, again(desk))
    desk.stop_after = stop
    with pytest.raises(CancelledError):
        operation(params, desk)
    assert len(desk.saved) == stop
    desk.stop_after = None
    resumed = operation(params, desk)  # the Desk refuses a unit that is done twice
    assert [encode(a) for a in resumed] == [encode(a) for a in whole]


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        (activation_patching, {"site": "z", "positions": "each"}),
        (activation_patching, {"site": "mlp_out"}),
        (path_patching, {"receivers": "L2H0,mlp1", "senders": "all"}),
    ],
)
def test_results_do_not_depend_on_the_batch(desk: Any, operation: Any, more: dict[str, Any]) -> None:
    make = activation if operation is activation_patching else path
    whole, small = operation(make(**more), desk), operation(make(**more, batch=5), again(desk))
    # batches of other shapes round differently: 1e-6 of losses of order 3, and the quotient is by about 0.1
    assert np.allclose(whole[0].values, small[0].values, atol=1e-4)


@pytest.mark.parametrize("operation", [activation_patching, path_patching])
def test_the_heatmap_fills_in_and_says_over_how_many_prompts(desk: Any, operation: Any) -> None:
    """Chunks of four prompts, one patch at a time: every layer is done on the first four before the others."""
    params = activation(site="z", batch=4) if operation is activation_patching else path(batch=4)
    operation(params, desk)
    first, last = desk.partials[0], desk.partials[-1]
    assert np.isfinite(first.values).sum() == 1
    assert first.facts["n"] == "4 of 12 so far"
    assert np.isfinite(last.values).all()
    assert last.facts["n"] == 12


def test_a_heatmap_of_senders(desk: Any, pair: Any, slowly: Any) -> None:
    params = path(receivers="L2H1.k,mlp1", senders="all", report="difference")
    heads, mlps, table = path_patching(params, desk)
    receivers = [Head(2, 1, "k"), Mlp(1)]
    clean = values_of(desk, pair, slowly, lambda batch: pair.hooked(batch.tokens))
    for head in (Head(0, 3), Head(1, 2)):
        one = values_of(
            desk, pair, slowly, lambda b, head=head: slowly["path"](pair, b, [head], receivers, "recomputed")
        )
        # single precision: losses of order 3
        assert heads.values[head.layer, head.head] == pytest.approx(one - clean, abs=2e-5)
    one = values_of(desk, pair, slowly, lambda b: slowly["path"](pair, b, [Mlp(0)], receivers, "recomputed"))
    assert mlps.values[0, 0] == pytest.approx(one - clean, abs=2e-5)
    assert (heads.values[2] == 0).all()  # the last layer comes after every receiver
    assert "5 senders" in heads.facts["after_the_receivers"]  # four heads and mlp2
    assert len(table.rows) == 1 + 12 + 3 - 5
    assert {row[0] for row in table.rows} >= {"embed", "mlp1", "L1H0"}
    assert heads.facts["receivers"] == "L2H1.k, mlp1"
    assert heads.facts["mlps"].startswith("recomputed")
    assert "edge patching" in heads.facts["differs_from"]


def test_some_senders_and_senders_together(desk: Any, pair: Any, slowly: Any) -> None:
    heads, table = path_patching(path(senders="L1H1, L0H2", mlps="frozen"), desk)
    assert np.isfinite(heads.values).sum() == 2
    assert np.isfinite(heads.values[[0, 1], [2, 1]]).all()
    assert "frozen" in heads.facts["mlps"]
    assert len(table.rows) == 2
    (only,) = path_patching(path(senders="L1H1,L0H2,embed", together=True, report="metric"), again(desk))
    (row,) = only.rows
    assert row[0] == "embed, L0H2, L1H1"
    parts = [Head(1, 1), Head(0, 2), Embed()]
    one = values_of(desk, pair, slowly, lambda b: slowly["path"](pair, b, parts, [Logits()], "recomputed"))
    assert row[1] == pytest.approx(one, abs=2e-5)


def test_clean_and_corrupt_alike_have_no_normalised_effect(desk: Any) -> None:
    prompts = desk.inputs["@2"]
    rows = tuple(PromptRow(clean=r.clean, corrupt=r.clean, answers=r.answers, foils=r.foils) for r in prompts.rows)
    desk.inputs["@2"] = type(prompts)(title="same", task="x", rows=rows)
    matrix, table = activation_patching(activation(site="z"), desk)
    assert np.isnan(matrix.values).all()
    assert "undefined" in matrix.summary
    assert table.rows[0][2] is None
    changed = activation_patching(activation(site="z", report="difference"), again(desk))[0]
    assert np.allclose(changed.values, 0, atol=1e-6)
    senders = path_patching(path(), again(desk))[0]
    assert "undefined" in senders.summary


def with_lengths(desk: Any, positions: dict[str, int]) -> None:
    prompts = desk.inputs["@2"]
    row = PromptRow(clean="t1 t2 t3", corrupt="t1 t5 t3", answers=("t4",), foils=("t5",), positions=positions)
    desk.inputs["@2"] = type(prompts)(title="mixed", task="x", rows=(*prompts.rows, row))


def test_prompts_of_unequal_length(desk: Any) -> None:
    with_lengths(desk, {"a1": 0})
    with pytest.raises(CallError, match="3 to 6 tokens") as error:
        activation_patching(activation(), desk)
    assert "template=" in error.value.remedy
    assert "positions=named" in error.value.remedy
    assert activation_patching(activation(site="z"), again(desk))[0].values.shape == (3, 4)
    named = activation_patching(activation(positions="named"), again(desk))[0]
    assert named.axes[1].labels == ("a1",)
    assert "a1" in named.facts["positions_patched"]
    with_lengths(desk, {})
    with pytest.raises(CallError, match="no named position is in every prompt"):
        activation_patching(activation(positions="named"), again(desk))


@pytest.mark.parametrize(
    ("more", "sentence", "where"),
    [
        ({"receivers": "embed"}, "read nothing", "receivers"),
        ({"receivers": "logits,L0H1"}, "only receive alone", "receivers"),
        ({"receivers": " ,"}, "no component", "receivers"),
        ({"receivers": "L5H0.q"}, "no L5H0", "receivers"),
        ({"receivers": "banana"}, "not a component", "receivers"),
        ({"receivers": "L0H1"}, "none of the senders comes before L0H1", "senders"),
        ({"senders": "logits"}, "cannot send", "senders"),
        ({"senders": "L0H1.q"}, "is an input", "senders"),
        ({"senders": "mlp9"}, "no mlp9", "senders"),
    ],
)
def test_wrong_ends_are_answered_in_one_sentence(desk: Any, more: dict[str, Any], sentence: str, where: str) -> None:
    with pytest.raises(CallError, match=sentence) as error:
        path_patching(path(**more), desk)
    assert error.value.where == where
    assert error.value.remedy


def test_models_without_mlps(desk: Any, attn_only_pair: Any) -> None:
    desk.inputs["@1"] = attn_only_pair.ours
    with pytest.raises(CallError, match="no MLPs"):
        activation_patching(activation(site="mlp_out"), desk)
    with pytest.raises(CallError, match="no mlp1"):
        path_patching(path(receivers="mlp1"), desk)
    heads, table = path_patching(path(senders="all"), desk)
    assert heads.facts["mlps"] == "the model has none"
    assert len(table.rows) == 13


def test_prompts_without_corrupt_partners(desk: Any) -> None:
    prompts = desk.inputs["@2"]
    rows = tuple(PromptRow(clean=row.clean, answers=row.answers, foils=row.foils) for row in prompts.rows)
    desk.inputs["@2"] = type(prompts)(title="alone", task="x", rows=rows)
    for operation, params in ((activation_patching, activation()), (path_patching, path())):
        with pytest.raises(CallError, match="corrupt"):
            operation(params, again(desk))
