"""The bundled transformers do what they are bundled for, run through the runtime that analysis uses."""

from functools import cache

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.models.loading import load_model
from engine.models.sources import ZOO
from engine.models.transformer import Transformer
from engine.models.zoo.sampling import (
    BOS,
    Mixture,
    RelationSampler,
    induction_batch,
    ioi_held_out,
    relation_vocabulary,
    tpp_held_out,
)
from engine.models.zoo.trainable import TrainableTransformer
from engine.prompts.tasks import generate
from engine.prompts.tokenized import tokenize
from engine.prompts.vocabulary import List, word_list
from sessions.artifacts import PromptRow

FRESH = 987_654  # a seed that no training used


@cache
def bundled(name: str) -> Transformer:
    model = load_model(f"zoo:{name}", device="cpu")
    assert isinstance(model, Transformer)
    return model


def number(row: PromptRow, name: str, words: List) -> int:
    start, stop = row.spans[name]
    return word_list(words).index(row.clean[start:stop])


def is_held_out(task: str, row: PromptRow) -> bool:
    if task == "tpp":
        return bool(tpp_held_out(*(np.array(number(row, name, "nouns")) for name in ("a1", "b1", "c"))))
    return bool(ioi_held_out(*(np.array(number(row, name, "names")) for name in ("IO", "S1"))))


def last_logits(model: Transformer, rows: list[PromptRow], *, corrupt: bool = False) -> torch.Tensor:
    batch = tokenize(rows, model.tokenizer, n_ctx=model.config.n_ctx, need_corrupt=True)
    tokens = batch.corrupt if corrupt else batch.tokens
    assert tokens is not None
    final = model.forward(tokens).resid_pre[-1]
    return model.unembed(final)[torch.arange(len(rows)), batch.at[:, 0]]


def predicted(model: Transformer, rows: list[PromptRow], *, corrupt: bool = False) -> list[str]:
    return model.tokenizer.token_texts(last_logits(model, rows, corrupt=corrupt).argmax(-1).tolist())


@pytest.mark.parametrize("task", ["tpp", "ioi"])
def test_held_out_combinations_are_solved_over_the_whole_vocabulary(task: str) -> None:
    model = bundled("tpp")
    rows = generate(task, np.random.default_rng(FRESH), 4000, tokenizer=model.tokenizer)
    rows = [row for row in rows if is_held_out(task, row)]
    assert len(rows) > 300
    right = [text == row.answers[0].strip() for text, row in zip(predicted(model, rows), rows)]
    assert np.mean(right) > 0.95
    for group in {row.group for row in rows}:
        of_group = [ok for ok, row in zip(right, rows) if row.group == group]
        assert np.mean(of_group) > 0.8, group  # a group has some ten to seventy rows


@pytest.mark.parametrize("variant", ["single_token", "main"])
def test_more_nouns_than_the_model_knows_leave_its_own(variant: str) -> None:
    tokenizer = bundled("tpp").tokenizer
    common, every = (
        generate("tpp", np.random.default_rng(FRESH), 50, variant=variant, nouns=nouns, tokenizer=tokenizer)
        for nouns in ("common", "all")
    )
    assert every == common


def test_the_corrupt_partner_changes_the_answer() -> None:
    model = bundled("tpp")

    def share(kind: str, place: str) -> float:
        """How often the corrupt prompt is answered with the word that stands at `place` in it."""
        rows = generate("tpp", np.random.default_rng(FRESH), 200, corrupt=kind, tokenizer=model.tokenizer)
        places = [row.spans[place][0] for row in rows]
        said = predicted(model, rows, corrupt=True)
        return float(np.mean([row.corrupt[at:].split()[0] == word for row, at, word in zip(rows, places, said)]))

    assert share("answer_swap", "c") > 0.95
    assert share("broken_link", "b1") > 0.95
    assert share("broken_link", "c") < 0.05


def test_without_a_repeated_name_neither_is_preferred() -> None:
    model = bundled("tpp")
    rows = generate("ioi", np.random.default_rng(FRESH), 300, tokenizer=model.tokenizer)
    batch = tokenize(rows, model.tokenizer, n_ctx=model.config.n_ctx, need_foils=True)
    assert batch.foils is not None

    def difference(*, corrupt: bool) -> float:
        logits = last_logits(model, rows, corrupt=corrupt)
        return float((logits.gather(1, batch.answers) - logits.gather(1, batch.foils)).mean())  # type: ignore[arg-type]

    assert difference(corrupt=False) > 3
    assert abs(difference(corrupt=True)) < 0.5


def test_the_induction_model_goes_on_with_a_block_and_only_with_a_block() -> None:
    model = bundled("induction")
    rows = generate("induction", np.random.default_rng(FRESH), 100, length=16, tokenizer=model.tokenizer)
    batch = tokenize(rows, model.tokenizer, n_ctx=model.config.n_ctx, need_corrupt=True, need_foils=True)
    assert batch.corrupt is not None
    for tokens, answers, low, high in (
        (batch.tokens, batch.answers, 0.95, 1.0),
        (batch.corrupt, batch.foils, 0.0, 0.2),
    ):
        assert answers is not None
        logits = model.unembed(model.forward(tokens).resid_pre[-1])
        right = float((logits.argmax(-1).gather(1, batch.at) == answers).float().mean())
        assert low <= right <= high


def test_the_induction_model_has_previous_token_and_induction_heads() -> None:
    model = bundled("induction")
    n = 20
    blocks = np.stack(
        [np.random.default_rng(FRESH + i).permutation(model.config.d_vocab - 1)[:n] + 1 for i in range(64)]
    )
    tokens = torch.from_numpy(np.concatenate([np.zeros((64, 1), dtype=np.int64), blocks, blocks], axis=1))
    pattern = model.forward(tokens, pattern=True).pattern
    assert pattern is not None
    mean = pattern.mean(1)  # layer head query key
    later = torch.arange(n + 1, 2 * n + 1)
    induction = mean[:, :, later, later - n + 1].mean(-1)
    previous = mean[:, :, torch.arange(1, 2 * n + 1), torch.arange(2 * n)].mean(-1)
    assert induction[1].max() > 0.8
    assert induction[0].max() < 0.1
    assert previous[0].max() > 0.6
    assert previous[1].max() < 0.2


@pytest.mark.parametrize("name", ["tpp", "induction"])
def test_training_and_analysis_run_the_same_function(name: str) -> None:
    model = bundled(name)
    trained = TrainableTransformer(model.config)
    trained.load_state_dict(load_file(ZOO / f"{name}.safetensors"))
    tokens = torch.from_numpy(np.random.default_rng(0).integers(model.config.d_vocab, size=(8, 20)))
    with torch.no_grad():
        expected = trained(tokens)
    ours = model.unembed(model.forward(tokens).resid_pre[-1])
    # Two orders of the same float32 sums: some 1e-6 of logits near 20.
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_training_examples_are_the_tasks_sentences_and_none_is_held_out() -> None:
    vocab = relation_vocabulary()
    assert bundled("tpp").tokenizer.token_texts(list(range(len(vocab)))) == vocab
    sampler = RelationSampler(vocab)
    examples = sampler.batch(np.random.default_rng(0), 400, Mixture(tpp=0.5, broken=0.0, subject=0.0, three_names=0.0))
    rows = generate("tpp", np.random.default_rng(0), 70) + generate("ioi", np.random.default_rng(0), 150)
    open_words = {w for name in ("nouns", "names", "places", "objects") for w in word_list(name)}  # type: ignore[arg-type]
    tokenizer = bundled("tpp").tokenizer

    def skeleton(texts: list[str]) -> str:
        return " ".join("_" if text in open_words else text for text in texts)

    known = {skeleton([BOS, *tokenizer.token_texts(tokenizer.encode(row.clean))]) for row in rows}
    seen = set()
    for tokens, last, target in zip(*(part.tolist() for part in examples)):
        texts = [vocab[i] for i in tokens[: last + 1]]
        seen.add(skeleton(texts))
        words = [w for w in texts if w in word_list("nouns")]
        if len(words) == 5:
            a, b, again, c, subject = words
            assert (a, b, vocab[target]) == (subject, again, c)
            assert not tpp_held_out(*(np.array(word_list("nouns").index(w)) for w in (a, b, c)))
        else:
            names = [w for w in texts if w in word_list("names")]
            (s,) = {w for w in names if names.count(w) == 2}
            (io,) = set(names) - {s}
            assert vocab[target] == io
            assert not ioi_held_out(*(np.array(word_list("names").index(w)) for w in (io, s)))
    assert seen == known


def test_alterations_change_what_follows() -> None:
    vocab = relation_vocabulary()
    sampler = RelationSampler(vocab)
    nouns = set(word_list("nouns"))
    for broken, subject in ((1.0, 0.0), (0.0, 1.0)):
        examples = sampler.tpp_batch(np.random.default_rng(0), 50, held_out=True, broken=broken, subject=subject)
        for tokens, last, target in zip(*(part.tolist() for part in examples)):
            a, b, again, c, end = [vocab[i] for i in tokens[: last + 1] if vocab[i] in nouns]
            assert (b != again) == bool(broken)
            assert (a != end) == bool(subject)
            assert vocab[target] == (b if broken else "unknown")
            assert c not in (a, b, again, end)


def test_induction_examples_are_determined_where_they_are_scored() -> None:
    tokens, known = induction_batch(np.random.default_rng(0), 20, 97, 64)
    for row, mask in zip(tokens.tolist(), known.tolist()):
        assert row[0] == 0
        assert any(mask)
        for at in range(63):
            if mask[at]:
                earlier = max(i for i in range(at) if row[i] == row[at])
                assert row[earlier + 1] == row[at + 1]
