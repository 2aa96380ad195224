"""Compiled models as bytes: written and read again, run, and what is said of bytes and labels that do not fit."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from engine.models.labelled import decode_model, encode_model, handle_of, read_labelled
from engine.models.labels import Labels
from engine.models.protocols import TransformerConfig, TwoVocabularies, answers_of
from engine.models.values import Values, ValueTokenizer
from engine.models.weights import expected_shapes
from engine.prompts.tokenized import look, tokenize
from sessions.artifacts import PromptRow, Prompts
from sessions.errors import CallError

CONFIG = TransformerConfig(
    architecture="rasp", n_layers=2, n_heads=2, d_model=5, d_head=3, d_mlp=4, d_vocab=5, n_ctx=5, act_fn="relu",
    normalization="none", attn_scale=1.0, attention="bidirectional", d_vocab_out=3,
)  # fmt: skip
LABELS = Labels(
    tokens=(1, 2, "a", "BOS", "PAD"), bos=3, pad=4, outputs=(True, "a b", (1, 2)), masks_pad=True, program="x = tokens"
)


def state(config: TransformerConfig = CONFIG, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    shapes = {name: shape for name, shape in expected_shapes(config).items() if ".b_" not in name}
    return {name: (rng.normal(size=shape) / 2).astype(np.float32) for name, shape in shapes.items()}


def row(clean: str, *answers: str, **more: Any) -> PromptRow:
    return PromptRow(clean=clean, answers=answers, **more)


def test_what_is_written_is_read_again_and_by_the_safetensors_library_too() -> None:
    arrays = state()
    data = encode_model(CONFIG, arrays, LABELS)
    assert data == encode_model(CONFIG, dict(reversed(arrays.items())), LABELS)
    found = load(data)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    read = read_labelled(data)
    assert read.config == CONFIG
    assert read.labels == LABELS  # tuples too, which JSON writes as lists
    assert read.parameters == sum(array.size for array in arrays.values())


def test_the_model_runs_and_its_handle_names_it() -> None:
    arrays = state()
    data = encode_model(CONFIG, arrays, LABELS)
    model = decode_model(data)
    assert model.labels == LABELS
    assert model.handle.source == f"session:{hashlib.sha256(data).hexdigest()}"
    assert model.handle.facts["vocab"] == [1, 2, "a"]
    assert model.handle.facts["max_len"] == 4
    tokens = torch.tensor([[3, 0, 2, 1]])
    x = (arrays["embed.W_E"][tokens[0]] + arrays["pos_embed.W_pos"][:4]).astype(np.float64)
    for layer in range(2):
        b = {name.removeprefix(f"blocks.{layer}."): a for name, a in arrays.items()}
        read = x
        for head in range(2):
            scores = (read @ b["attn.W_Q"][head]) @ (read @ b["attn.W_K"][head]).T
            weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
            x = x + weights @ (read @ b["attn.W_V"][head]) @ b["attn.W_O"][head]
        x = x + np.maximum(x @ b["mlp.W_in"], 0) @ b["mlp.W_out"]
    logits = model.unembed(model.forward(tokens).resid_pre[-1])[0]
    np.testing.assert_allclose(logits.numpy(), x @ arrays["unembed.W_U"], rtol=1e-4, atol=1e-4)
    assert decode_model(data, handle_of(data, title="mine"), dtype=torch.float64).handle.title == "mine"


@pytest.mark.parametrize("cut", [0, 4, 8, 100, -1])
def test_damaged_bytes_are_refused(cut: int) -> None:
    data = encode_model(CONFIG, state(), LABELS)
    with pytest.raises(CallError):
        decode_model(data[:cut])


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CallError):
        decode_model(data)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tokens": (1, 2)}, "the labels name 2 tokens, and the weights have 5"),
        ({"outputs": None}, "the labels name 1 outputs, and the weights have 3"),
        ({"residual": ("one",)}, "the labels name 1 residual directions, and the weights have 5"),
        ({"bos": 9}, "the labels say bos is token 9, and there are 5"),
        ({"pad": -1}, "the labels say pad is token -1"),
        ({"max_len": 5}, "up to 5 tokens, and the model has 5 positions"),
        ({"format": "tracr"}, "labels of format 'tracr' cannot be read; write them as 'iwb-labels-1'"),
    ],
)
def test_labels_that_do_not_fit_are_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CallError, match=sentence):
        encode_model(CONFIG, state(), msgspec.structs.replace(LABELS, **change))


def test_weights_that_do_not_fit_are_refused() -> None:
    arrays = state()
    del arrays["unembed.W_U"]
    with pytest.raises(CallError, match=r"missing: unembed\.W_U"):
        encode_model(CONFIG, arrays, LABELS)


@pytest.mark.parametrize(
    ("values", "text", "ids"),
    [
        ((1, 2, 3), "3 1 2", [2, 0, 1]),
        ((1, 2, 3), " 3,1,  2 ", [2, 0, 1]),
        ((1, 2.5), "1.0 2.5", [0, 1]),
        (("a", "b c", "d,e", ""), 'a "b c" "d,e" ""', [0, 1, 2, 3]),
        (("a", "b c"), "b c", [1]),
        ((1, "1"), '1 "1"', [0, 1]),
        ((True, False, None), "true False None null", [0, 1, 2, 2]),
        (((1, 2), (2, 1)), "[2,1] [1,2]", [1, 0]),
        ((True, 1), "1 true", [1, 0]),
    ],
)
def test_values_are_read_as_a_person_writes_them(values: tuple[Any, ...], text: str, ids: list[int]) -> None:
    assert Values(values, "v").encode(text) == ids


@given(st.lists(st.integers() | st.booleans() | st.none() | st.text(max_size=5), min_size=1, max_size=8))
def test_every_value_is_read_as_it_is_written(some: list[Any]) -> None:
    values = [v for i, v in enumerate(some) if not any(v == w and type(v) is type(w) for w in some[:i])]
    found = Values(values, "v")
    assert len(set(found.vocab)) == len(values)
    for i in range(len(values)):
        assert found.encode(found.vocab[i]) == [i]
    assert found.encode(found.decode(range(len(values)))) == list(range(len(values)))


def test_a_value_outside_the_vocabulary_is_named() -> None:
    tokenizer = ValueTokenizer(LABELS, "mine")
    with pytest.raises(CallError, match="mine: '7' is not in the model's vocabulary; known: 1, 2, a"):
        tokenizer.encode("1 7")
    with pytest.raises(CallError, match="'BOS' is not in"):  # shown, and never written by a person
        tokenizer.encode("BOS")
    assert tokenizer.token_texts([3, 0, 4]) == ["BOS", "1", "PAD"]


def test_answers_are_looked_up_among_the_outputs() -> None:
    tokenizer = ValueTokenizer(LABELS, "mine")
    assert isinstance(tokenizer, TwoVocabularies)
    rows = [row("1 2", "True", foils=("[1,2]",), corrupt="2 2"), row("a 2", "a b", foils=("true",), corrupt="2 2")]
    batch = tokenize(rows, tokenizer, n_ctx=5, need_corrupt=True, need_foils=True)
    assert batch.tokens.tolist() == [[3, 0, 1], [3, 2, 1]]
    assert (batch.answers.tolist(), batch.at.tolist()) == ([[0], [1]], [[2], [2]])
    assert batch.foils is not None
    assert batch.foils.tolist() == [[2], [0]]
    seen = look(Prompts(title="p", task="t", rows=(*rows, row("1", "2"))), tokenizer, 5)
    assert [r.problem for r in seen.rows] == ["", "", "'2' is not in the model's vocabulary"]
    assert seen.rows[0].clean_tokens == ("BOS", "1", "2")


def test_a_number_has_no_logits_to_look_up() -> None:
    tokenizer = ValueTokenizer(msgspec.structs.replace(LABELS, outputs=None), "mine")
    with pytest.raises(CallError, match="the model gives a number and no scores"):
        tokenize([row("1", "2")], tokenizer, n_ctx=5)
    assert answers_of(tokenizer).token_texts([0]) == ["number"]


def test_shorter_rows_are_padded_as_the_model_masks() -> None:
    rows = [row("1", "true"), row("1 2 a", "true")]
    assert tokenize(rows, ValueTokenizer(LABELS, "m"), n_ctx=5).tokens.tolist() == [[3, 0, 4, 4], [3, 0, 1, 2]]
    unmasked = msgspec.structs.replace(LABELS, masks_pad=False)
    with pytest.raises(
        CallError, match="row 2: the prompt has 4 tokens and that of row 1 has 2, and this model does not"
    ):
        tokenize(rows, ValueTokenizer(unmasked, "m"), n_ctx=5)
    assert tokenize(rows[:1] * 2, ValueTokenizer(unmasked, "m"), n_ctx=5).tokens.shape == (2, 2)
    causal = ValueTokenizer(msgspec.structs.replace(unmasked, pad=None), "m", causal=True)
    assert tokenize(rows, causal, n_ctx=5).tokens.tolist() == [[3, 0, 0, 0], [3, 0, 1, 2]]


def test_a_part_of_a_prompt_is_scored_where_it_stands() -> None:
    """Logits stand for outputs, so what is said at a position belongs to that position and not to the next token."""
    scored = tokenize([row("1 2", scored_from=1)], ValueTokenizer(LABELS, "m"), n_ctx=5)
    assert scored.at.tolist() == [[1, 2]]
    assert scored.answers.tolist() == [[-1, -1]]
    batch = tokenize([row("1 2", scored_from=1), row("1")], ValueTokenizer(LABELS, "m"), n_ctx=5, need_answers=False)
    assert batch.at.tolist() == [[2], [1]]
