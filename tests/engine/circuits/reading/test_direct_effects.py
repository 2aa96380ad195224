"""Direct effects: the sum is the logit difference; TransformerLens' logit attributions; sources by its hooks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformer_lens import HookedTransformer

from engine.circuits.metrics import Targets, logit_difference
from engine.circuits.reading.direct_effects import (
    component_names,
    direct_effects,
    direction,
    head_effects_by_source,
)
from engine.circuits.reading.direct_operations import DirectEffects
from engine.circuits.reading.direct_operations import direct_effects as operation
from engine.circuits.runs import at_positions
from sessions.artifacts import Prompts
from sessions.codec import decode, encode
from sessions.errors import CallError

GENERATOR = torch.Generator().manual_seed(7)
TOKENS = torch.randint(0, 23, (6, 9), generator=GENERATOR)
AT = torch.tensor([[6, 8]] * 6)
ANSWERS = torch.randint(0, 23, (6, 2, 1), generator=GENERATOR)
FOILS = (ANSWERS + torch.randint(1, 23, ANSWERS.shape, generator=GENERATOR)) % 23


def effects_of(ours: Any, targets: Targets) -> tuple[Any, Any]:
    cache = ours.forward(TOKENS)
    final = at_positions(cache.resid_pre[-1], AT)
    return direct_effects(ours, cache, TOKENS, AT, direction(ours, final, targets)), ours.unembed(final)


@pytest.mark.parametrize("kind", ["LN", "folded", "RMS", "none", "parallel", "attention only", "rotary", "adjacent"])
def test_the_sum_is_the_logit_difference(twins: Any, kind: str) -> None:
    targets = Targets(ANSWERS, FOILS)
    effects, logits = effects_of(twins(kind).ours, targets)
    assert effects.shape[-1] == len(component_names(twins(kind).ours.config))
    expected = logits.gather(-1, ANSWERS)[..., 0] - logits.gather(-1, FOILS)[..., 0]
    # Single precision has 6e-8 per operation; the terms are summed in another order than in the pass, and relative to
    # the largest of them the sum is right to 1e-5.
    size = effects.abs().amax(-1).clamp(min=1)
    assert ((effects.sum(-1) - expected).abs() / size).max() < 1e-5


@pytest.mark.parametrize("kind", ["folded", "none", "rotary"])
def test_components_are_transformer_lens_attributions(twins: Any, kind: str) -> None:
    pair = twins(kind)
    hooked = pair.hooked
    if kind == "rotary":  # attributions there take the final gain to be folded
        with torch.no_grad():
            gain = hooked.ln_final.w.clone()
            folded = HookedTransformer(hooked.cfg)
            folded.load_state_dict(hooked.state_dict())
            folded.ln_final.w[:] = 1.0
            folded.unembed.W_U.mul_(gain[:, None])
            hooked = folded
    effects, _ = effects_of(pair.ours, Targets(ANSWERS, FOILS))
    names = component_names(pair.ours.config)
    with torch.no_grad():
        _, cache = hooked.run_with_cache(TOKENS)
        heads = cache.stack_head_results(layer=-1)
        parts, labels = cache.decompose_resid(layer=-1, mode="mlp", return_labels=True)
        stack = torch.cat([heads, parts])
        called = [*(f"L{layer}H{head}" for layer in range(3) for head in range(4)), *labels]
        for k in range(2):
            wanted = torch.zeros(6, 9, dtype=torch.long)
            other = torch.zeros(6, 9, dtype=torch.long)
            wanted[:, AT[0, k]], other[:, AT[0, k]] = ANSWERS[:, k, 0], FOILS[:, k, 0]
            theirs = cache.logit_attrs(stack, tokens=wanted, incorrect_tokens=other)[:, :, AT[0, k]]
            for label, row in zip(called, theirs):
                name = {
                    "embed": "embed: token",
                    "pos_embed": "embed: position",
                    "0_mlp_out": "mlp0",
                    "1_mlp_out": "mlp1",
                    "2_mlp_out": "mlp2",
                }.get(label, label)
                # single against double precision; effects are of size 1
                assert torch.allclose(effects[:, k, names.index(name)].double(), row, atol=2e-5), label


def test_several_answers_are_averaged_as_the_metric_does(twins: Any) -> None:
    ours = twins("LN").ours
    answers = torch.tensor([[[1, 2, 3], [4, -1, -1]]] * 6)
    foils = torch.tensor([[[5, -1], [6, 7]]] * 6)
    effects, logits = effects_of(ours, Targets(answers, foils))
    expected = logit_difference(logits, Targets(answers, foils))
    assert torch.allclose(effects.sum(-1).mean(-1), expected, atol=1e-5)
    by_hand = logits[:, 0, [1, 2, 3]].mean(-1) - logits[:, 0, 5]
    assert torch.allclose(effects.sum(-1)[:, 0], by_hand, atol=1e-5)


@pytest.mark.parametrize("kind", ["LN", "rotary"])
def test_effects_by_source_add_up_and_are_pattern_times_value(twins: Any, kind: str) -> None:
    pair = twins(kind)
    ours = pair.ours
    targets = Targets(ANSWERS, FOILS)
    cache = ours.forward(TOKENS, pattern=True)
    toward = direction(ours, at_positions(cache.resid_pre[-1], AT), targets)
    sources = head_effects_by_source(ours, cache, AT, toward)
    names = component_names(ours.config)
    effects, _ = effects_of(ours, targets)
    for layer in range(3):
        for head in range(4):
            whole = effects[:, :, names.index(f"L{layer}H{head}")]
            assert torch.allclose(sources[:, :, layer, head].sum(-1), whole, atol=1e-5)
    with torch.no_grad():
        _, theirs = pair.hooked.run_with_cache(TOKENS)
        shared = 4 // (ours.config.n_kv_heads or 4)
        v = theirs["blocks.1.attn.hook_v"].repeat_interleave(shared, 2)[:, :, 3]
        written = v @ pair.hooked.W_O[1, 3]
        paid = theirs["blocks.1.attn.hook_pattern"][:, 3, 8]
        expected = torch.einsum("bj,bjd,bd->bj", paid, written, toward.vector[:, 1].double())
    assert torch.allclose(sources[:, 1, 1, 3].double(), expected, atol=2e-5)


def test_without_foils_there_is_no_difference(twins: Any) -> None:
    ours = twins("LN").ours
    with pytest.raises(ValueError, match="foils"):
        direction(ours, ours.forward(TOKENS).resid_pre[-1][:, 6:7], Targets(ANSWERS, None))


def asked(**more: Any) -> DirectEffects:
    return DirectEffects(model="@1", prompts="@2", **more)


def test_the_operation(desk: Any, pair: Any) -> None:
    heads, mlps, table, every, by_source = operation(asked(per_prompt=True, by_source=True), desk)
    assert heads.values.shape == (3, 4)
    assert mlps.values.shape == (3, 1)
    assert every.values.shape == (12, len(component_names(pair.ours.config)))
    named = dict(zip(every.axes[1].labels, every.values.mean(0)))
    assert heads.values[2, 1] == pytest.approx(named["L2H1"], abs=1e-6)
    assert mlps.values[1, 0] == pytest.approx(named["mlp1"], abs=1e-6)
    assert by_source.values.shape == (12, 6)
    assert by_source.values.sum(1) == pytest.approx(heads.values.ravel(), abs=1e-5)
    assert table.rows[-1][0] == "sum"
    assert table.rows[-1][1] == pytest.approx(heads.facts["clean"], abs=1e-5)
    sizes = [abs(row[1]) for row in table.rows[:-1]]
    assert sizes == sorted(sizes, reverse=True)
    differences = []
    for row in desk.inputs["@2"].rows:
        ids, answer, foil = (pair.ours.tokenizer.encode(t) for t in (row.clean, row.answers[0], row.foils[0]))
        logits = pair.hooked(torch.tensor([ids]))[0, -1].detach()
        differences.append(float(logits[answer[0]] - logits[foil[0]]))
    assert heads.facts["clean"] == pytest.approx(np.mean(differences), abs=1e-5)
    assert heads.facts["sum_minus_clean"] < 1e-4
    for found in (heads, table, every, by_source):
        assert encode(decode(encode(found))) == encode(found)


def test_one_prompt_and_one_head(desk: Any) -> None:
    *_, every = operation(asked(per_prompt=True), desk)
    heads, *_, one = operation(asked(row=5, layer=1, head=2), desk)
    assert heads.values[1, 2] == pytest.approx(every.values[4, every.axes[1].labels.index("L1H2")], abs=1e-5)
    assert one.values.shape == (1, 6)
    assert one.axes[1].labels == tuple(desk.inputs["@2"].rows[4].clean.split())
    assert one.values.sum() == pytest.approx(heads.values[1, 2], abs=1e-5)


def test_prompts_of_two_lengths(desk: Any) -> None:
    rows = desk.inputs["@2"].rows
    short = type(rows[0])(clean="t1 t2 t3", corrupt="t3 t2 t1", answers=("t4",), foils=("t5",))
    alone = operation(asked(row=1), desk)[0].values
    desk.inputs["@2"] = Prompts(title="two lengths", task="x", rows=(rows[0], short))
    assert np.allclose(operation(asked(row=1), desk)[0].values, alone, atol=1e-6)
    *_, one = operation(asked(layer=0, head=0), desk)
    assert np.isnan(one.values[1, 3:]).all()
    assert np.isfinite(one.values[0]).all()
    with pytest.raises(CallError, match="differ in length"):
        operation(asked(by_source=True), desk)


def test_wrong_calls_are_answered(desk: Any) -> None:
    with pytest.raises(CallError, match="both layer= and head="):
        operation(asked(layer=1), desk)
    with pytest.raises(CallError, match="no L3H0"):
        operation(asked(layer=3, head=0), desk)
    with pytest.raises(CallError, match="no prompt 13"):
        operation(asked(row=13), desk)
    rows = desk.inputs["@2"].rows
    desk.inputs["@2"] = Prompts(title="x", task="x", rows=(type(rows[0])(clean="t1 t2", answers=("t3",)),))
    with pytest.raises(CallError, match="no foil"):
        operation(asked(), desk)
