"""`zoo:base` is what it is bundled for: it knows names and some repetition, in subword tokens, and no TPP."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.models.loading import load_model
from engine.models.sources import ZOO, read_config
from engine.models.transformer import Transformer
from engine.models.zoo.language import END, STATEMENTS, Language, train_tokenizer
from engine.models.zoo.sampling import ioi_held_out
from engine.models.zoo.train_base import base_model
from engine.prompts.tasks import generate
from engine.prompts.tokenized import tokenize
from engine.prompts.vocabulary import word_list
from sessions.artifacts import PromptRow

FRESH = 987_654  # a seed that no training used


@cache
def base() -> Transformer:
    model = load_model("zoo:base", device="cpu")
    assert isinstance(model, Transformer)
    return model


def predicted(rows: list[PromptRow]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The most likely token at each scored position, the answers' and the foils' ids."""
    model = base()
    batch = tokenize(rows, model.tokenizer, n_ctx=model.config.n_ctx, need_foils=True)
    said = []
    for start in range(0, len(rows), 250):
        final = model.forward(batch.tokens[start : start + 250]).resid_pre[-1]
        at = batch.at[start : start + 250]
        said.append(model.unembed(final[torch.arange(len(at))[:, None], at]).argmax(-1))
    assert batch.foils is not None
    return torch.cat(said).numpy(), batch.answers.numpy(), batch.foils.numpy()


def accuracy(rows: list[PromptRow]) -> float:
    said, answers, _ = predicted(rows)
    return float((said == answers).mean())


def measured(name: str) -> float:
    return float(read_config(ZOO / "base.json")["training"][name])


def test_the_files_are_small_and_hold_their_tokenizer() -> None:
    files = [ZOO / "base.safetensors", ZOO / "base.json"]
    assert sum(path.stat().st_size for path in files) < 4e6
    assert base().config.n_heads == 8
    assert base().config.n_layers == 4


def test_names_are_known_for_pairs_never_trained_on() -> None:
    rows = generate("ioi", np.random.default_rng(FRESH), 4000, tokenizer=base().tokenizer)
    names = word_list("names")

    def number(row: PromptRow, name: str) -> np.ndarray:
        start, stop = row.spans[name]
        return np.array(names.index(row.clean[start:stop]))

    rows = [row for row in rows if ioi_held_out(number(row, "IO"), number(row, "S1"))]
    assert len(rows) > 300
    assert accuracy(rows) == pytest.approx(measured("ioi_held_out_accuracy"), abs=0.02)
    assert accuracy(rows) > 0.95


@pytest.mark.parametrize(("variant", "n", "name"), [("main", 3000, "main"), ("single_token", 1150, "single_token")])
def test_tpp_is_not_known(variant: str, n: int, name: str) -> None:
    rows = generate("tpp", np.random.default_rng(FRESH), n, variant=variant, tokenizer=base().tokenizer)
    found = accuracy(rows)
    assert found < 0.02
    assert found == pytest.approx(measured(f"tpp_{name}_accuracy"), abs=0.01)


def test_a_repeated_block_is_gone_on_with_as_often_as_measured() -> None:
    language, rng = Language(names_share=0.0, block_share=1.0), np.random.default_rng(FRESH)
    model = base()
    tokenizer = train_tokenizer(0)
    batch = language.batch(rng, tokenizer, 128, model.config.n_ctx)
    ids = torch.from_numpy(batch.ids)
    said = model.unembed(model.forward(ids).resid_pre[-1]).argmax(-1)[:, :-1]
    right = (said == ids[:, 1:])[torch.from_numpy(batch.determined[:, 1:])].float().mean()
    assert float(right) == pytest.approx(measured("repeated_block_accuracy"), abs=0.04)


def test_the_tokenizer_is_the_one_the_script_trains_and_marks_word_starts() -> None:
    model, inner = base(), train_tokenizer(0)
    text = "if all dragon are bird and bird are a type of cat then all dragon are"
    assert model.tokenizer.encode(text) == inner.encode(text).ids
    assert model.tokenizer.decode(model.tokenizer.encode(text)) == text
    assert len(model.tokenizer.encode(" Mary")) == 1
    ends = model.tokenizer.encode(text + " ")
    assert ends[:-1] == model.tokenizer.encode(text)  # a prompt that ends with a space has one token more
    assert model.tokenizer.token_texts(ends)[-1] == " "
    assert model.tokenizer.encode(END) == [0]
    strange = "naïve 字 17"
    assert model.tokenizer.decode(model.tokenizer.encode(strange)) == strange
    lengths = [len(model.tokenizer.encode(" " + noun)) for noun in word_list("nouns")]
    assert 0.4 < np.mean(np.array(lengths) == 1) < 0.9
    assert max(lengths) <= 6


def test_training_and_analysis_run_the_same_function() -> None:
    model = base()
    trained = base_model(model.config.d_vocab)
    trained.load_state_dict(load_file(ZOO / "base.safetensors"))
    tokens = torch.from_numpy(np.random.default_rng(0).integers(model.config.d_vocab, size=(8, 40)))
    with torch.no_grad():
        expected = trained(tokens)
    ours = model.unembed(model.forward(tokens).resid_pre[-1])
    # Two orders of the same float32 sums: some 1e-6 of logits near 20.
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_no_document_draws_a_conclusion_and_no_held_out_pair_is_trained_on() -> None:
    language, rng = Language(), np.random.default_rng(FRESH)
    names = word_list("names")
    assert len(STATEMENTS) > 10
    kinds = {1: 0, 3: 0, 4: 0}
    for _ in range(2000):
        parts, determined = language.document(rng)
        kinds[len(parts)] += 1
        words = "".join(parts).replace(".", " ").replace(",", " ").split()
        if len(parts) == 3:
            io = names.index(parts[1].strip())
            (s,) = {names.index(w) for w in words if w in names} - {io}
            assert not ioi_held_out(np.array(io), np.array(s))
            assert determined == [False, True, False]
        elif len(parts) == 4:
            half = len(words) // 2
            assert words[:half] == words[half:]
            assert 3 <= half <= 10
        else:  # a noun that comes again would be a second link
            nouns = [w for w in words if w in language.nouns]
            assert len(set(nouns)) == len(nouns)
    assert min(kinds.values()) > 200


def test_parts_of_a_document_are_tokenized_as_the_whole() -> None:
    inner, rng, language = train_tokenizer(0), np.random.default_rng(FRESH), Language()
    for _ in range(200):
        parts = language.document(rng).parts
        ids = [i for part in parts for i in inner.encode(part).ids]
        assert ids == inner.encode("".join(parts)).ids
