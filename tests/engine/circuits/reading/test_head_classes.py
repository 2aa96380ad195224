"""Head classes against a slow count, written out row by row, on patterns made by hand and on a model's."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from engine.circuits.reading.answer_attention import answer_places, attention_to_answer, per_prompt
from engine.circuits.reading.attention import Pairs, patterns
from engine.circuits.reading.class_operations import HeadClasses, head_classes
from engine.circuits.reading.head_classes import CLASSES, class_means, classify, counts
from engine.prompts.tokenized import tokenize
from sessions.artifacts import Graph, Node, PromptRow, Prompts, Table
from sessions.codec import decode, encode
from sessions.components import Head
from sessions.errors import CallError


def slow_means(pattern: Any, ids: list[int], *, exclude: bool) -> dict[str, list[float]]:
    """What one head of one example pays at the places of each class."""
    first, own, previous, induction = [], [], [], []
    for i in range(len(ids)):
        if i or not exclude:
            first.append(float(pattern[i, 0]))
            own.append(float(pattern[i, i]))
        if i:
            previous.append(float(pattern[i, i - 1]))
        earlier = [j for j in range(i) if ids[j] == ids[i]]
        if earlier and earlier[-1] + 1 < i:
            induction.append(float(pattern[i, earlier[-1] + 1]))
    return {"first": first, "self": own, "previous": previous, "induction": induction}


def slow_rates(all_patterns: Any, prompts: list[list[int]], *, exclude: bool, threshold: float) -> Any:
    n, layers, heads = all_patterns.shape[:3]
    rates = torch.zeros(4, layers, heads, dtype=torch.double)
    for c, name in enumerate(CLASSES):
        for layer in range(layers):
            for head in range(heads):
                hits = 0
                for row in range(n):
                    paid = slow_means(all_patterns[row, layer, head], prompts[row], exclude=exclude)[name]
                    hits += bool(paid) and sum(paid) / len(paid) > threshold
                rates[c, layer, head] = hits / n
    return rates


@pytest.mark.parametrize("exclude", [False, True])
def test_rates_are_the_slow_count(pair: Any, exclude: bool) -> None:
    numbers = torch.Generator().manual_seed(2)
    lengths = torch.randint(4, 10, (20,), generator=numbers)
    tokens = torch.randint(1, 6, (20, 9), generator=numbers)  # few words: many come again, some next to each other
    tokens[torch.arange(9) >= lengths[:, None]] = 0
    pattern = patterns(pair.ours, tokens)
    found = class_means(pattern, tokens, lengths, exclude_row_0=exclude)
    prompts = [ids[:length] for ids, length in zip(tokens.tolist(), lengths.tolist())]
    for threshold in (0.15, 0.25, 0.4):
        rates = classify(found.values, attention=threshold).rates
        assert torch.equal(rates, slow_rates(pattern, prompts, exclude=exclude, threshold=threshold))
    for row, ids in enumerate(prompts):
        uniform = torch.tensor([[1 / (i + 1) if j <= i else 0 for j in range(9)] for i in range(9)])
        for c, paid in enumerate(slow_means(uniform, ids, exclude=exclude).values()):
            expected = sum(paid) / len(paid) if paid else float("nan")
            assert float(found.chance[row, c]) == pytest.approx(expected, nan_ok=True, abs=1e-6)


def ideal_heads(length: int, ids: list[int]) -> Any:
    """[1 1 4 query key]: heads that look at the first token, themselves, the one before, and what followed before."""
    pattern = torch.zeros(1, 1, 4, length, length)
    for i in range(length):
        earlier = [j for j in range(i) if ids[j] == ids[i]]
        for head, key in enumerate((0, i, max(0, i - 1), earlier[-1] + 1 if earlier else 0)):
            pattern[0, 0, head, i, key] = 1.0
    return pattern


def test_ideal_heads_are_of_their_class() -> None:
    ids = [5, 6, 7, 5, 6, 7]
    tokens, lengths = torch.tensor([ids]), torch.tensor([6])
    found = classify(class_means(ideal_heads(6, ids), tokens, lengths).values)
    assert [found.of(0, head) for head in (0, 1, 2)] == [["first"], ["self"], ["previous"]]
    # the induction head rests on the first token on half of the rows: 3 of 6 are above 0.4 too, so it is of both
    assert found.of(0, 3) == ["induction", "first"]
    assert counts(found, torch.ones(1, 4, dtype=torch.bool)) == {"first": 2, "self": 1, "previous": 1, "induction": 1}
    assert found.means[:, 0, 1].tolist() == pytest.approx([1 / 6, 1.0, 0.0, 0.0])
    assert CLASSES[int(found.runner_up[0, 1])] == "first"
    assert counts(found, torch.tensor([[True, False, False, False]]))["self"] == 0
    without = class_means(ideal_heads(6, ids), tokens, lengths, exclude_row_0=True)
    assert without.values[0, 0, 0].tolist() == pytest.approx([1.0, 0.0, 1 / 5, 2 / 5])


def test_both_thresholds_must_be_exceeded() -> None:
    values = torch.full((10, 4, 1, 1), float(np.float32(0.4)), dtype=torch.double)
    assert not classify(values).rates.any()  # exactly the threshold is no hit
    assert not classify(values + 1e-12).rates.any()  # nor what rounding in double precision makes of it
    values[:8] = 0.41
    assert not classify(values).member.any()  # exactly 80 % is not over 80 %
    values[8] = 0.41
    assert classify(values).member.all()
    values[:, 3] = torch.nan
    found = classify(values)
    assert found.rates[3, 0, 0] == 0
    assert torch.isnan(found.means[3, 0, 0])
    assert int(found.runner_up[0, 0]) in (0, 1, 2)


def test_bidirectional_chance_is_over_all_tokens(bidirectional_pair: Any) -> None:
    tokens, lengths = torch.tensor([[1, 2, 1, 4]]), torch.tensor([4])
    found = class_means(patterns(bidirectional_pair.ours, tokens), tokens, lengths, causal=False)
    assert found.chance[0].tolist() == pytest.approx([0.25] * 4)


def test_attention_to_several_places_is_summed() -> None:
    pattern = torch.zeros(2, 1, 1, 4, 4)
    pattern[0, 0, 0, 3] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    pairs = Pairs(torch.tensor([0, 0]), torch.tensor([3, 3]), torch.tensor([0, 2]))
    found = per_prompt(pattern, pairs, mean_over="queries")
    assert float(found.values[0, 0, 0]) == pytest.approx(0.4)
    assert float(found.chance[0]) == 0.5
    assert torch.isnan(found.values[1]).all()
    assert float(per_prompt(pattern, pairs).values[0, 0, 0]) == pytest.approx(0.2)


def test_attention_to_answer_is_the_patterns(pair: Any) -> None:
    rows = [
        PromptRow(clean="t1 t2 t3 t2 t5", answers=("t2",)),
        PromptRow(clean="t4 t2 t3", answers=("t4",)),
        PromptRow(clean="t4 t2 t3", answers=("t9",)),
    ]
    batch = tokenize(rows, pair.ours.tokenizer, n_ctx=16)
    found = attention_to_answer(pair.ours, rows, batch, at_once=2)
    _, cache = pair.hooked.run_with_cache(batch.tokens)
    for layer in range(3):
        pattern = cache[f"blocks.{layer}.attn.hook_pattern"].detach()
        first, second = pattern[0, :, 4, 1] + pattern[0, :, 4, 3], pattern[1, :, 2, 0]
        assert torch.allclose(found[layer], (first + second) / 2, atol=1e-6)


def test_a_named_span_is_where_the_answer_stands(pair: Any) -> None:
    """The answer is written otherwise in the prompt: TPP's main set, whose prompts end with a space."""

    class Pieces:
        name, bos_id = "pieces", 0
        words: ClassVar = {" ba": 1, " na": 2, "ba": 3, " c": 4, "c": 5, "na": 6}

        def encode(self, text: str) -> list[int]:
            found = []
            while text:
                piece = next(w for w in sorted(self.words, key=len, reverse=True) if text.startswith(w))
                found.append(self.words[piece])
                text = text[len(piece) :]
            return found

        def decode(self, ids: list[int]) -> str:
            back = {i: w for w, i in self.words.items()}
            return "".join(back.get(i, "") for i in ids)

        def token_texts(self, ids: list[int]) -> list[str]:
            return [self.decode([i]) for i in ids]

    class Model:
        tokenizer, config = Pieces(), pair.ours.config

    row = PromptRow(clean=" c bana c", answers=("bana",), spans={"c": (3, 7), "a": (1, 2)}, first_token_only=True)
    batch = tokenize([row], Pieces(), n_ctx=16)
    assert batch.tokens.tolist() == [[0, 4, 1, 6, 4]]
    assert batch.answers.tolist() == [[3]]  # `ba` without the space stands nowhere
    model: Any = Model()
    found = answer_places(model, [row], batch)
    assert list(zip(found.query.tolist(), found.key.tolist())) == [(4, 2), (4, 3)]
    at_the_start = PromptRow(clean="bana c", answers=("bana",), spans={"c": (0, 4)}, first_token_only=True)
    found = answer_places(model, [at_the_start], tokenize([at_the_start], Pieces(), n_ctx=16))
    assert found.key.tolist() == [1, 2]


def asked(**more: Any) -> HeadClasses:
    return HeadClasses(model="@1", prompts="@2", **more)


def repeating(desk: Any) -> None:
    """Prompts in which the answer stands, of two templates."""
    numbers = np.random.default_rng(1)
    rows = []
    for i in range(10):
        words = [f"t{w}" for w in numbers.permutation(np.arange(1, 20))[: 4 + i % 2]]
        rows.append(PromptRow(clean=" ".join(words + words[:3]), answers=(words[3],), group=f"T{i % 2}"))
    desk.inputs["@2"] = Prompts(title="repeating", task="x", rows=tuple(rows))


def test_the_operation_counts_as_the_slow_way(desk: Any, pair: Any) -> None:
    repeating(desk)
    summary, by_head, *matrices, answer, chance = head_classes(asked(attention=0.25, share=0.5), desk)
    rows = desk.inputs["@2"].rows
    prompts = [pair.ours.tokenizer.encode(row.clean) for row in rows]
    wide = torch.zeros(10, 3, 4, 8, 8)
    for row, ids in enumerate(prompts):
        _, cache = pair.hooked.run_with_cache(torch.tensor([ids]))
        for layer in range(3):
            wide[row, layer, :, : len(ids), : len(ids)] = cache[f"blocks.{layer}.attn.hook_pattern"][0].detach()
    rates = slow_rates(wide, prompts, exclude=False, threshold=0.25)
    for c, matrix in enumerate(matrices):
        assert np.allclose(matrix.values, rates[c])
        members = {(layer, head) for layer, head in (rates[c] > 0.5).nonzero().tolist()}
        assert set(matrix.marks) == members
        assert summary.rows[c][:2] == (CLASSES[c], len(members))
    paid = torch.stack([wide[row, :, :, len(ids) - 1, 3] for row, ids in enumerate(prompts)]).mean(0)
    assert np.allclose(answer.values, paid, atol=1e-6)
    above = int((paid > 0.4).sum())
    assert summary.summary.startswith(f"{summary.rows[0][1]} first-token, {summary.rows[2][1]} previous, ")
    assert f"; {above} attend to the answer" in summary.summary
    assert [row[0] for row in chance.rows] == ["T0", "T1"]
    uniform = sum(1 / (i + 1) for i in range(7)) / 7
    assert chance.rows[0][2] == pytest.approx(uniform)
    assert chance.rows[0][-1] == pytest.approx(1 / 7)
    assert len(by_head.rows) == 12
    best = max(range(4), key=lambda c: (rates[c, 1, 2], float(matrices[c].values[1, 2])))
    assert by_head.rows[6][3] == pytest.approx(float(rates[best, 1, 2]))
    for found in (summary, by_head, *matrices, answer, chance):
        assert encode(decode(encode(found))) == encode(found)


def test_only_the_heads_of_a_circuit_are_counted(desk: Any) -> None:
    repeating(desk)
    nodes = tuple(
        Node(id=str(Head(layer, h)), label="", layer=1, component=Head(layer, h), kept=(layer, h) in ((0, 1), (2, 3)))
        for layer in range(3)
        for h in range(4)
    )
    desk.inputs["@3"] = Graph(title="a circuit", nodes=nodes, edges=())
    summary, by_head, *_ = head_classes(asked(circuit="@3", attention=0.0, share=0.0, answer_threshold=0.0), desk)
    assert [row[0] for row in by_head.rows] == ["L0H1", "L2H3"]
    assert summary.rows[0][1] == 2  # every head pays the first token something
    assert "2 attend to the answer; of 2 heads" in summary.summary
    with pytest.raises(CallError, match="not a graph"):
        head_classes(asked(circuit="@2"), desk)


def test_most_and_prompts_without_answers(desk: Any) -> None:
    rows = tuple(PromptRow(clean=row.clean) for row in desk.inputs["@2"].rows)
    desk.inputs["@2"] = Prompts(title="plain", task="x", rows=rows)
    summary, *_, answer, _ = head_classes(asked(most=5), desk)
    assert summary.facts["n"] == 5
    assert np.isnan(answer.values).all()
    assert "in none of these prompts" in answer.summary
    assert isinstance(summary, Table)


def test_an_interrupted_count_goes_on(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    repeating(desk)
    whole = head_classes(asked(), desk)
    monkeypatch.setattr("engine.circuits.reading.class_operations.prompts_at_once", lambda model, batch: 3)
    desk.stop_after = 2
    with pytest.raises(Exception, match="stopped by the test"):
        head_classes(asked(), desk)
    assert len(desk.saved) == 2
    assert len(desk.partials) == 2
    desk.stop_after = None
    resumed = head_classes(asked(), desk)
    assert whole[0].rows == resumed[0].rows
    assert np.allclose(whole[-2].values, resumed[-2].values, atol=1e-6)
