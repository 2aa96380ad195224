"""QK and OV against TransformerLens' factored matrices, full eigenvalues and singular values, and closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.reading.model_weights import head_weights, unembedding
from engine.circuits.reading.weight_circuits import (
    composition,
    copying_score,
    ov_circuit,
    positive_share,
    qk_circuit,
    spectrum,
)
from engine.circuits.reading.weight_operations import WeightCircuits, weight_circuits
from engine.models.protocols import TransformerConfig
from engine.models.transformer import Transformer
from engine.models.weights import random_state
from sessions.artifacts import Model
from sessions.codec import decode, encode
from sessions.errors import CallError

EVERY = torch.arange(23)
# Our weights are in single precision: 24 bits, and entries of the products are of size 1.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.mark.parametrize("kind", ["LN", "folded", "RMS", "none", "rotary"])
def test_plain_products_are_transformer_lens(twins: Any, kind: str) -> None:
    pair = twins(kind)
    ours, hooked = pair.ours, pair.hooked
    with torch.no_grad():
        for layer, head in ((0, 0), (1, 3), (2, 2)):
            own = head_weights(ours, layer, head, folded=False)
            qk = (hooked.W_E @ hooked.QK[layer, head] @ hooked.W_E.T).AB / hooked.cfg.attn_scale
            ov = (hooked.W_E @ hooked.OV[layer, head] @ hooked.W_U).AB
            assert torch.allclose(qk_circuit(ours, own, EVERY, distance=0), qk, **CLOSE)
            assert torch.allclose(ov_circuit(ours, own, EVERY, folded=False).double(), ov, **CLOSE)
            some = torch.tensor([4, 1, 22])
            assert torch.allclose(qk_circuit(ours, own, some, distance=0), qk[some][:, some], **CLOSE)


def test_folding_here_is_transformer_lens_folding(twins: Any) -> None:
    """The folded twin was made by TransformerLens from the weights of the other."""
    plain, folded = twins("LN").ours, twins("folded").ours
    for layer, head in ((0, 1), (2, 3)):
        here, there = head_weights(plain, layer, head), head_weights(folded, layer, head, folded=False)
        for a, b in zip(here[:3], there[:3]):
            assert torch.allclose(a, b, **CLOSE)
        again = head_weights(folded, layer, head)
        assert all(torch.allclose(a, b, **CLOSE) for a, b in zip(again, there))
    # the unembedding is folded, not centred over the vocabulary
    assert torch.allclose(unembedding(plain), unembedding(folded, folded=False), **CLOSE)


def test_folded_scores_are_the_models_own_at_one_token(twins: Any) -> None:
    """Without biases and positions, a first layer's scores are the QK circuit divided by the norms' scales."""
    config = TransformerConfig(
        architecture="random", n_layers=1, n_heads=2, d_model=16, d_head=4, d_vocab=23, n_ctx=16, positions="none"
    )
    state = {n: t for n, t in random_state(config, 1, scale=0.5).items() if not n.rpartition(".")[2].startswith("b_")}
    state = {n: t for n, t in state.items() if not n.endswith(".b")} | {
        f"{n}.b": torch.zeros(16) for n in ("blocks.0.ln1", "ln_final")
    }
    handle = Model(title="r", source="r", family="transformer", architecture="r")
    model = Transformer(config, state, twins("LN").ours.tokenizer, handle)
    tokens = torch.tensor([[3, 9, 14, 2, 9]])
    pattern = model.forward(tokens, pattern=True).pattern
    assert pattern is not None
    own = head_weights(model, 0, 1)
    x = state["embed.W_E"][tokens[0]].double()
    sigma = (x.var(-1, correction=0) + config.eps).sqrt()
    scores = qk_circuit(model, own, tokens[0]) / (sigma[:, None] * sigma[None])
    scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf)
    assert torch.allclose(pattern[0, 0, 1].double(), scores.softmax(-1), atol=1e-6)


@pytest.mark.parametrize("kind", ["rotary", "adjacent"])
def test_rotary_scores_depend_on_the_distance(twins: Any, kind: str) -> None:
    """Against scores that TransformerLens' own rotation gives for a query and a key of that distance."""
    pair = twins(kind)
    hooked = pair.hooked
    tokens = torch.tensor([4, 11, 7])
    with torch.no_grad():
        for distance in (0, 1, 5):
            own = head_weights(pair.ours, 1, 2, folded=False)
            x = hooked.W_E[tokens]
            q, k = x @ hooked.W_Q[1, 2], x @ hooked.W_K[1, 2]
            attention = hooked.blocks[1].attn
            expected = torch.empty(3, 3, dtype=torch.double)
            for i in range(3):
                for j in range(3):
                    where = torch.zeros(1, 12, 1, 4, dtype=torch.double)
                    query, key = where.clone(), where.clone()
                    query[0, 2 + distance, 0], key[0, 2, 0] = q[i], k[j]
                    turned = attention.apply_rotary(query)[0, 2 + distance, 0]
                    expected[i, j] = turned @ attention.apply_rotary(key)[0, 2, 0] / hooked.cfg.attn_scale
            assert torch.allclose(qk_circuit(pair.ours, own, tokens, distance=distance), expected, **CLOSE)


@pytest.mark.parametrize("kind", ["LN", "folded", "rotary"])
def test_the_spectrum_is_that_of_the_whole_matrices(twins: Any, kind: str) -> None:
    pair = twins(kind)
    hooked = pair.hooked
    own = head_weights(pair.ours, 1, 2, folded=False)
    found = spectrum(pair.ours, own, distance=0, folded=False)
    with torch.no_grad():
        qk, ov = hooked.QK[1, 2], hooked.OV[1, 2]
        assert torch.allclose(found.qk, qk.S[:4] / hooked.cfg.attn_scale, **CLOSE)
        assert torch.allclose(found.ov, torch.linalg.svdvals(ov.AB)[:4], **CLOSE)
        full = hooked.W_E @ ov.AB @ hooked.W_U
        for ours, theirs in ((found.residual, torch.linalg.eigvals(ov.AB)), (found.full, torch.linalg.eigvals(full))):
            assert ours is not None
            theirs = theirs[theirs.abs().argsort(descending=True)][:4]
            # compared through sums of powers: pairs of conjugates have no order
            for power in (1, 2, 3, 4):
                assert torch.allclose((ours**power).sum(), (theirs**power).sum(), rtol=1e-4, atol=1e-4)
        trace, sizes = full.trace(), torch.linalg.eigvals(full).abs().sum()
        assert found.full is not None
        assert copying_score(found.full) == pytest.approx(float(trace / sizes), abs=1e-4)


def test_copying_scores_of_known_heads() -> None:
    assert copying_score(torch.tensor([2.0 + 0j, 1.0])) == 1.0
    assert copying_score(torch.tensor([-2.0 + 0j, -1.0])) == -1.0
    rotation = torch.tensor([3j, -3j])
    assert copying_score(rotation) == 0.0
    mixed = torch.tensor([3.0 + 4j, 3.0 - 4j, -2.0])
    assert copying_score(mixed) == pytest.approx(4 / 12)
    assert positive_share(mixed) == pytest.approx(6 / 12)


@pytest.mark.parametrize("kind", ["LN", "folded", "rotary", "parallel"])
def test_composition_scores_are_transformer_lens(twins: Any, kind: str) -> None:
    pair = twins(kind)
    with torch.no_grad():
        for layer, head in ((1, 0), (2, 3)):
            found = composition(pair.ours, layer, head, folded=False)
            assert found.heads == tuple((at, other) for at in range(layer) for other in range(4))
            for column, mode in enumerate("QKV"):
                theirs = pair.hooked.all_composition_scores(mode)[:layer, :, layer, head].flatten()
                assert torch.allclose(found.scores[:, column], theirs, **CLOSE)


def test_composition_of_a_head_that_reads_what_another_writes_and_of_strangers(twins: Any) -> None:
    """Weights that share one direction: the score is 1; orthogonal ones: 0."""
    config = TransformerConfig(
        architecture="r", n_layers=2, n_heads=1, d_model=8, d_head=1, d_vocab=5, n_ctx=4, normalization="none"
    )
    state = {name: torch.zeros_like(tensor) for name, tensor in random_state(config, 0).items()}
    for name, direction in {
        "blocks.0.attn.W_V": 0,
        "blocks.0.attn.W_O": 1,
        "blocks.1.attn.W_Q": 1,
        "blocks.1.attn.W_K": 2,
        "blocks.1.attn.W_V": 3,
        "blocks.1.attn.W_O": 4,
    }.items():
        state[name].view(-1)[direction] = 2.0
    handle = Model(title="r", source="r", family="transformer", architecture="r")
    model = Transformer(config, state, twins("LN").ours.tokenizer, handle)
    assert composition(model, 1, 0).scores.tolist() == [[1.0, 0.0, 0.0]]


def asked(**more: Any) -> WeightCircuits:
    return WeightCircuits(model="@1", **({"layer": 1, "head": 2} | more))


def test_the_operation_on_a_prompt(desk: Any, pair: Any) -> None:
    qk, ov, raised, values, composed = weight_circuits(asked(prompts="@2", row=3), desk)
    words = list(dict.fromkeys(desk.inputs["@2"].rows[2].clean.split()))
    assert list(qk.axes[0].labels) == list(qk.axes[1].labels) == list(ov.axes[1].labels) == words
    ids = [int(word[1:]) for word in words]
    own = head_weights(pair.ours, 1, 2)
    whole = ov_circuit(pair.ours, own, EVERY).numpy()
    assert np.allclose(ov.values, whole[np.ix_(ids, ids)], atol=1e-6)
    assert [row[0] for row in raised.rows] == words
    for row, i in zip(raised.rows, ids):
        assert row[1] == pytest.approx(float(whole[i, i]), abs=1e-6)
        assert row[2] == int((whole[i] > whole[i, i]).sum()) + 1
        assert row[3].split()[0] == f"t{int(whole[i].argmax())}"
    assert composed.values.shape == (4, 3)
    assert composed.axes[0].labels == ("L0H0", "L0H1", "L0H2", "L0H3")
    assert composed.facts["chance"] == 0.25
    assert len(values.rows) == 4
    assert -1 <= values.facts["copying_score"]["W_E W_V W_O W_U"] <= 1
    for found in (qk, ov, raised, values, composed):
        assert encode(decode(encode(found))) == encode(found)


def test_words_the_whole_vocabulary_and_a_first_layer(desk: Any) -> None:
    results = weight_circuits(asked(layer=0, words="t3, t1,t3"), desk)
    assert len(results) == 4  # no earlier heads, no composition
    assert results[0].axes[0].labels == ("t3", "t1")
    assert weight_circuits(asked(), desk)[0].values.shape == (23, 23)
    raw = weight_circuits(asked(norm="raw", composition=False), desk)
    assert len(raw) == 4
    assert "left out" in raw[0].facts["norm"]
    assert not np.allclose(raw[0].values, weight_circuits(asked(), desk)[0].values)


def test_wrong_calls_are_answered(desk: Any, twins: Any) -> None:
    with pytest.raises(CallError, match="no L1H4"):
        weight_circuits(asked(head=4), desk)
    with pytest.raises(CallError, match="23 tokens, and at most 10"):
        weight_circuits(asked(most=10), desk)
    with pytest.raises(CallError, match="3 tokens are more than 2"):
        weight_circuits(asked(words="t1,t2,t3", most=2), desk)
    with pytest.raises(CallError, match="'t1 t2' is not one token"):
        weight_circuits(asked(words="t1 t2"), desk)
    with pytest.raises(CallError, match="no prompt 13"):
        weight_circuits(asked(prompts="@2", row=13), desk)
    desk.inputs["@1"] = twins("rotary").ours
    with pytest.raises(CallError, match="distance"):
        weight_circuits(asked(distance=16), desk)
    found = weight_circuits(asked(distance=3), desk)
    assert "3 tokens before" in found[0].facts["distance"]
    assert "shared by 2 heads" in found[0].facts["shared"]
    assert math.isfinite(found[0].values.sum())
