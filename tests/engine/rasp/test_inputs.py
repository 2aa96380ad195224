"""Inputs of compiled programs: answers are what the program says, position by position."""

from __future__ import annotations

import numpy as np
import pytest

from engine.models.transformer import Transformer
from engine.prompts.tokenized import tokenize
from engine.rasp.compiled import Domain
from engine.rasp.compiler import compile_program
from engine.rasp.inputs import scored_everywhere
from engine.rasp.interpreter import evaluate
from engine.rasp.library import program
from engine.rasp.model import to_transformer
from sessions.errors import CallError


def compiled(name: str) -> Transformer:
    vocab = ("a", "b", "c") if name == "frac_prevs" else (1, 2, 3)
    return to_transformer(compile_program(program(name), Domain(vocab, 4)))


@pytest.fixture(scope="module")
def reverse() -> Transformer:
    return compiled("reverse")


def test_answers_are_what_the_interpreter_says(reverse: Transformer) -> None:
    rows = scored_everywhere(np.random.default_rng(0), 12, model=reverse)
    assert rows == scored_everywhere(np.random.default_rng(0), 12, model=reverse)
    assert {len(row.clean.split()) for row in rows} == {1, 2, 3, 4}
    for row in rows:
        values = tuple(int(word) for word in row.clean.split())
        assert [int(word) for word in row.answers] == list(evaluate(program("reverse"), values))
        assert len(row.corrupt.split()) == len(values)


def test_a_position_is_scored_at_its_own_place_and_the_last_again_in_shorter_rows(reverse: Transformer) -> None:
    rows = scored_everywhere(np.random.default_rng(0), 4, model=reverse)
    batch = tokenize(rows, reverse.tokenizer, n_ctx=reverse.config.n_ctx, need_corrupt=True)
    assert batch.at.tolist() == [[1, 1, 1, 1], [1, 2, 2, 2], [1, 2, 3, 3], [1, 2, 3, 4]]
    said = reverse.unembed(reverse.forward(batch.tokens).resid_pre[-1]).argmax(-1)
    assert said.gather(1, batch.at).tolist() == batch.answers.tolist()


def test_numbers_have_no_answers() -> None:
    model = compiled("frac_prevs")
    rows = scored_everywhere(np.random.default_rng(0), 3, model=model, length=4)
    assert all(row.answers == () for row in rows)
    assert tokenize(rows, model.tokenizer, n_ctx=model.config.n_ctx).answers.tolist() == [[-1] * 4] * 3


def test_what_cannot_be_is_refused(reverse: Transformer) -> None:
    with pytest.raises(CallError, match="up to 4 values"):
        scored_everywhere(np.random.default_rng(0), 3, model=reverse, length=5)
