"""Circuit methods on bidirectional models: random ones against TransformerLens hooks, and a compiled program, of which
it is known what every head does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.discovery.edge_effects import edge_effects, edges_of
from engine.circuits.interventions.what_if_operations import WhatIf, what_if
from engine.circuits.judging.circuit_operations import Evaluate, evaluate
from engine.circuits.judging.faithfulness import Circuit
from engine.circuits.metrics import METRICS
from engine.circuits.reading.attention import answer_pairs, score
from engine.circuits.reading.attention_operations import AttentionPatterns, attention_patterns
from engine.circuits.reading.score_operations import HeadScores, head_scores
from engine.circuits.runs import PromptRuns
from engine.circuits.sweeps.greedy_operations import GreedySweep, greedy_sweep
from engine.circuits.sweeps.head_sweep import components_of
from engine.circuits.sweeps.head_sweep import head_sweep as sweep_heads
from engine.circuits.sweeps.sweep_operations import HeadSweep, head_sweep
from engine.models.labelled import decode_model, encode_model
from engine.models.labels import Labels
from engine.models.protocols import TransformerConfig
from engine.models.transformer import Transformer
from engine.prompts.tokenized import tokenize
from sessions.artifacts import PromptRow, Prompts
from sessions.errors import CallError

from .conftest import Desk
from .discovery.test_edge_effects import WHOLE, hooked_without_edge
from .sweeps.test_greedy_sweep import answered, slow_sweep, swept

VOCAB, LENGTH = 3, 4


def reversing(*, masks_pad: bool = True) -> Transformer:
    """Reverses "a b c" by hand. Layer 0: head 0 counts the tokens (it attends to all of them and to the beginning
    alike, so the beginning gets 1/(n+1)), and the MLP turns that and the own position i into the position n - 1 - i.
    Layer 1: head 0 fetches the token there. Head 1 of both layers does nothing. Padding is never attended to.

    Directions: one, tokens 3, positions 5, is-BOS, is-PAD, 1/(n+1), wanted positions 4, result 3.
    """
    one, token, position, bos, pad, share, wanted, result = 0, 1, 4, 9, 10, 11, 12, 16
    d, heads, width = 19, 2, 6
    embed = np.zeros((VOCAB + 2, d))
    embed[:, one] = 1
    embed[np.arange(VOCAB), token + np.arange(VOCAB)] = 1
    embed[VOCAB, bos] = embed[VOCAB + 1, pad] = 1
    places = np.zeros((LENGTH + 1, d))
    places[np.arange(LENGTH + 1), position + np.arange(LENGTH + 1)] = 1
    q, k, v = (np.zeros((2, heads, d, width)) for _ in range(3))
    o = np.zeros((2, heads, width, d))
    q[0, 0, one, 0] = 1
    k[0, 0, pad, 0] = -200 if masks_pad else 0
    v[0, 0, bos, 0] = 1
    o[0, 0, 0, share] = 1
    for place in range(LENGTH):  # fetch what stands where the query wants it; the beginning if nothing is wanted
        q[1, 0, wanted + place, place] = 200
        k[1, 0, position + 1 + place, place] = 1
    q[1, 0, one, LENGTH] = 1
    k[1, 0, pad, LENGTH] = -200 if masks_pad else 0
    k[1, 0, bos, :LENGTH] = 0.5
    for value in range(VOCAB):
        v[1, 0, token + value, value] = 1
        o[1, 0, value, result + value] = 1
    # One unit per (length, place): it is 1 where both hold, for shares 1/(n+1) lie at least 1/20 apart.
    cases = [(n, i) for n in range(1, LENGTH + 1) for i in range(n)]
    w_in, w_out = np.zeros((2, d, 4 * len(cases))), np.zeros((2, 4 * len(cases), d))
    for at, (n, i) in enumerate(cases):
        for part, (edge, sign, size) in enumerate(((-0.02, 1, 1), (-0.01, 1, -1), (0.01, 1, -1), (0.02, 1, 1))):
            unit = 4 * at + part  # a hat of height 1 around 1/(n+1), only at place i + 1
            w_in[0, share, unit] = 100 * sign
            w_in[0, one, unit] = -100 * (1 / (n + 1) + edge) - 1000
            w_in[0, position + 1 + i, unit] = 1000
            w_out[0, unit, wanted + n - 1 - i] = size
    unembed = np.zeros((d, VOCAB))
    unembed[result + np.arange(VOCAB), np.arange(VOCAB)] = 10
    state = {"embed.W_E": embed, "pos_embed.W_pos": places, "unembed.W_U": unembed}
    for layer in range(2):
        for name, values in (("Q", q), ("K", k), ("V", v), ("O", o)):
            state[f"blocks.{layer}.attn.W_{name}"] = values[layer]
        state |= {f"blocks.{layer}.mlp.W_in": w_in[layer], f"blocks.{layer}.mlp.W_out": w_out[layer]}
    config = TransformerConfig(
        architecture="rasp", n_layers=2, n_heads=heads, d_model=d, d_head=width, d_mlp=w_in.shape[2], d_vocab=VOCAB + 2,
        n_ctx=LENGTH + 1, act_fn="relu", normalization="none", attn_scale=1.0, attention="bidirectional",
        d_vocab_out=VOCAB,
    )  # fmt: skip
    # outputs in another order than tokens: an id of one is not an id of the other
    state["unembed.W_U"] = unembed[:, ::-1]
    labels = Labels(tokens=("a", "b", "c", "BOS", "PAD"), bos=3, pad=4, outputs=("c", "b", "a"), masks_pad=masks_pad)
    return decode_model(encode_model(config, {n: a.astype(np.float32) for n, a in state.items()}, labels))


def rows(*texts: str) -> tuple[PromptRow, ...]:
    """Reversed: the answer after the last token is the first one."""
    made = []
    for text in texts:
        words = text.split()
        corrupt = " ".join("abc"[("abc".index(word) + 1) % 3] for word in words)
        made.append(PromptRow(clean=text, corrupt=corrupt, answers=(words[0],), foils=(corrupt.split()[0],)))
    return tuple(made)


TEXTS = ("a b c", "c a b a", "b c", "c b a", "a", "b a c c", "a c", "c c b")


@pytest.fixture(scope="module")
def model() -> Transformer:
    return reversing()


@pytest.fixture
def bench(model: Transformer) -> Desk:
    return Desk(**{"@1": model, "@2": Prompts(title="reverse", task="rasp", rows=rows(*TEXTS))})


def test_it_reverses_every_input_padded_or_not(model: Transformer) -> None:
    batch = tokenize(rows(*TEXTS), model.tokenizer, n_ctx=LENGTH + 1)
    assert batch.tokens[4].tolist() == [3, 0, 4, 4, 4]
    together = model.unembed(model.forward(batch.tokens).resid_pre[-1])
    for i, text in enumerate(TEXTS):
        alone = model.unembed(model.forward(batch.tokens[i : i + 1, : int(batch.lengths[i])]).resid_pre[-1])
        n = int(batch.lengths[i])
        torch.testing.assert_close(together[i, :n], alone[0], atol=1e-4, rtol=0)
        assert "".join("cba"[j] for j in alone[0, 1:].argmax(-1)) == "".join(reversed(text.split()))


@pytest.mark.parametrize("ablation", ["zero", "mean", "resample"])
def test_a_head_sweep_finds_the_heads_that_work(bench: Desk, ablation: Any) -> None:
    heads, mlps, table = head_sweep(HeadSweep(model="@1", prompts="@2", metric="accuracy", ablation=ablation), bench)
    assert heads.facts["clean"] == 1
    assert heads.values[:, 1].tolist() == [0, 0]
    assert heads.values[1, 0] < -0.3  # the head that fetches
    assert (heads.values[0, 0] < -0.3) == (ablation != "resample")  # the pair is as long: its count is the same
    assert mlps.values[1, 0] == 0
    assert {row[0] for row in table.rows[:2]} <= {"L1H0", "L0H0", "mlp0"}


def test_rows_of_other_lengths_in_the_set_change_nothing(model: Transformer) -> None:
    for ablation in ("zero", "resample"):
        together = tokenize(rows(*TEXTS), model.tokenizer, n_ctx=5, need_corrupt=True, need_foils=True)
        found = swept_all(PromptRuns(model, together, METRICS["logit_diff"], ablation))  # type: ignore[arg-type]
        for i, text in enumerate(TEXTS):
            alone = tokenize(rows(text), model.tokenizer, n_ctx=5, need_corrupt=True, need_foils=True)
            expected = swept_all(PromptRuns(model, alone, METRICS["logit_diff"], ablation))  # type: ignore[arg-type]
            torch.testing.assert_close(found[:, i : i + 1], expected, atol=1e-4, rtol=0)


def swept_all(runs: PromptRuns) -> torch.Tensor:
    order = components_of(runs.model.config.n_layers, runs.model.config.n_heads, mlps=True)
    values = torch.full((len(order), runs.size), torch.nan)
    for part in sweep_heads(runs, [order] * len(runs.chunks)):
        for component, some in zip(part.components, part.values):
            values[order.index(component), part.rows] = some
    return values


def test_the_greedy_sweep_keeps_what_works_and_evaluating_agrees(bench: Desk) -> None:
    table, _, graph, _ = greedy_sweep(
        GreedySweep(model="@1", prompts="@2", metric="accuracy", theta=0.01, held_out=0.25), bench
    )
    assert {row[0] for row in table.rows if row[1] == "removed"} == {"L0H1", "L1H1"}
    bench.inputs["@3"] = graph
    judged = evaluate(Evaluate(model="@1", prompts="@2", metric="accuracy", circuit="@3"), bench)[0]
    assert any("1" in str(cell) for row in judged.rows for cell in row)
    assert judged.facts["clean"] == 1


def test_what_if_shows_outputs_and_not_tokens(bench: Desk) -> None:
    metrics, outputs = what_if(WhatIf(model="@1", prompts="@2", components="L1H0", row=1), bench)
    assert {row[0] for row in outputs.rows} == {"a", "b", "c"}
    before = {row[0]: row[1] for row in outputs.rows}
    assert before["a"] == pytest.approx(1, abs=1e-3)  # "a b c": after the last token comes the first
    assert outputs.summary.startswith("'a' (100%) -> ")
    assert metrics.rows[0][1] > 5


def test_patterns_look_ahead(bench: Desk) -> None:
    (found,) = attention_patterns(AttentionPatterns(model="@1", prompts="@2", first=1, count=1), bench)
    assert found.axes[3].labels == ("BOS", "a", "b", "c")
    np.testing.assert_allclose(found.values[0, 0, 0], 0.25, atol=1e-5)  # counting: all alike, later ones too
    np.testing.assert_allclose(found.values[0, 1, 0, 1:, 1:], np.eye(3)[::-1], atol=1e-5)
    (several,) = attention_patterns(AttentionPatterns(model="@1", prompts="@2", first=1, count=8), bench)
    np.testing.assert_allclose(several.values[2, 0, 0, :3, :3], 1 / 3, atol=1e-5)  # of "b c", padded


def test_scores_know_that_all_tokens_are_seen(bench: Desk) -> None:
    scores = head_scores(HeadScores(model="@1", prompts="@2"), bench)
    answer = next(m for m in scores if m.title == "Attention score: answer")
    assert answer.values[1, 0] > 0.4
    assert answer.facts["chance_is"] == "what uniform attention over all tokens would pay"
    tokens, lengths = torch.tensor([[0, 1, 0, 2]]), torch.tensor([4])
    pattern = torch.full((1, 1, 1, 4, 4), 0.25)
    found = score(pattern, answer_pairs(tokens, torch.tensor([[1]]), torch.tensor([[0]])), lengths)
    assert (float(found.mean), found.mean_chance) == (0.25, 0.25)


def test_a_model_that_reads_padding_takes_one_length_at_a_time() -> None:
    careless = reversing(masks_pad=False)
    desk = Desk(**{"@1": careless, "@2": Prompts(title="reverse", task="rasp", rows=rows("a b", "b c", "a b c"))})
    with pytest.raises(CallError, match=r"row 3: .*this model does not mask padding; keep prompts of one length"):
        head_sweep(HeadSweep(model="@1", prompts="@2"), desk)
    desk.inputs["@2"] = Prompts(title="reverse", task="rasp", rows=rows("a b", "b c"))
    assert head_sweep(HeadSweep(model="@1", prompts="@2", metric="accuracy"), desk)[0].facts["clean"] == 1


@pytest.mark.parametrize("ablation", ["zero", "resample"])
def test_every_edge_of_a_bidirectional_model_equals_a_hooked_pass(
    bidirectional_pair: Any, batches: Any, ablation: Any
) -> None:
    batch = batches(rows=4, seed=9)
    runs = PromptRuns(bidirectional_pair.ours, batch, METRICS["loss"], ablation)
    found = {(e.source, e.target): e.values for made in edge_effects(runs, WHOLE) for e in made}
    for edge in edges_of(bidirectional_pair.ours, Circuit(*WHOLE))[::7]:
        expected = hooked_without_edge(bidirectional_pair, batch, *edge, ablation)
        assert torch.allclose(found[edge], expected, atol=1e-4), edge


def test_greedy_decisions_on_a_bidirectional_model(bidirectional_pair: Any, batches: Any, naive: Any) -> None:
    batch = answered(bidirectional_pair, batches(rows=9, seed=4))
    decisions = swept(PromptRuns(bidirectional_pair.ours, batch, METRICS["loss"], "mean", rows=4), theta=0.05)
    verdicts = [(decision.component, decision.removed) for decision in decisions]
    assert verdicts == slow_sweep(naive, bidirectional_pair, batch, "loss", 0.05, "mean")
