"""Prompts as what a model is trained on: tokens, the positions that are scored, and what should follow each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from engine.models.protocols import TwoVocabularies
from engine.prompts.reading import Reader
from sessions.artifacts import PromptRow
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import Tokenizer

Label = Literal["answer", "first", "all"]
UNSCORED = -100  # where a row has fewer scored positions than another, as in transformers
LABELS = {
    "answer": "the answer's tokens, placed after the prompt; the inputs there are end-of-text tokens, so that only the "
    "first answer token is predicted from real context",
    "first": "the answer's first token, predicted at the prompt's last token",
    "all": "every token of the answer, each predicted from the prompt and the answer's tokens before it",
}


class Example(NamedTuple):
    """`targets[k]` should follow the token at position `at[k]`."""

    tokens: tuple[int, ...]
    at: tuple[int, ...]
    targets: tuple[int, ...]


class Batch(NamedTuple):
    """Examples side by side, right-padded with 0 (attention is causal: nothing that is scored sees padding)."""

    tokens: Int[Tensor, "batch pos"]
    at: Int[Tensor, "batch k"]
    targets: Int[Tensor, "batch k"]  # UNSCORED where a row has fewer


def make_examples(rows: Sequence[PromptRow], tokenizer: Tokenizer, *, n_ctx: int, label: Label) -> tuple[Example, ...]:
    """One example per row. Of several answers the first counts; rows with `scored_from` are scored token by token,
    whatever the label.

    CallError, naming the row (from 1): an empty set, no answer, a word outside the vocabulary, longer than the context,
    or an answer of several tokens where `label=answer` finds no end-of-text token to put before its later ones.
    """
    if not rows:
        raise CallError("the set of prompts is empty", "prompts", "make or open at least one prompt")
    if isinstance(tokenizer, TwoVocabularies):
        raise CallError(
            "this model was compiled, not trained: its outputs are not its tokens", "model", "train another"
        )
    reader = Reader(tokenizer, n_ctx)
    return tuple(_example(reader, row, number, label) for number, row in enumerate(rows, 1))


def _example(reader: Reader, row: PromptRow, number: int, label: Label) -> Example:
    prompt = reader.clean(row, number)
    start = reader.scored_from(row, prompt)
    if start is not None:
        if not 0 < start < len(prompt):
            raise CallError(f"the scored part begins at token {start} of {len(prompt)}", f"row {number}")
        return Example(tuple(prompt), tuple(range(start - 1, len(prompt) - 1)), tuple(prompt[start:]))
    answer = _answer(reader, row, number, prompt)
    last = len(prompt) - 1
    if label == "first" or len(answer) == 1:
        return Example(tuple(prompt), (last,), tuple(answer[:1]))
    before = answer[:-1] if label == "all" else [_end(reader.tokenizer, number)] * (len(answer) - 1)
    tokens = (*prompt, *before)
    if len(tokens) > reader.n_ctx:
        raise CallError(
            f"prompt and answer have {len(tokens)} tokens, and the model's context holds {reader.n_ctx}",
            f"row {number}",
            "shorten the prompt, or use label=first",
        )
    return Example(tokens, tuple(range(last, len(tokens))), tuple(answer))


def _answer(reader: Reader, row: PromptRow, number: int, prompt: Sequence[int]) -> list[int]:
    """The first answer's tokens: read by itself, or, where that gives several, as the prompt's continuation."""
    if not row.answers:
        raise CallError("the prompt has no answer", f"row {number}", "give every row an answer")
    text = row.answers[0]
    try:
        ids = reader.tokenizer.encode(text)
    except CallError as error:
        raise CallError(error.what, f"row {number}", error.remedy) from None
    if len(ids) != 1:
        try:
            joined = reader.bos + reader.tokenizer.encode(row.clean + text)
        except CallError:  # without a space between them they are another word
            joined = []
        if len(joined) > len(prompt) and joined[: len(prompt)] == list(prompt):
            ids = joined[len(prompt) :]
    if not ids:
        raise CallError("the answer is empty", f"row {number}", "give every row an answer")
    return ids


def _end(tokenizer: Tokenizer, number: int) -> int:
    end: int | None = getattr(tokenizer, "eos_id", None)
    if end is None:
        raise CallError(
            f"the answer has several tokens, and {tokenizer.name} has no end-of-text token to put before the others",
            f"row {number}",
            "use label=first or label=all",
        )
    return end


def collate(examples: Sequence[Example], device: torch.device | str = "cpu") -> Batch:
    """The examples as one batch."""
    longest = max(len(example.tokens) for example in examples)
    scored = max(len(example.at) for example in examples)
    tokens = np.zeros((len(examples), longest), dtype=np.int64)
    at = np.zeros((len(examples), scored), dtype=np.int64)
    targets = np.full((len(examples), scored), UNSCORED, dtype=np.int64)
    for i, example in enumerate(examples):
        tokens[i, : len(example.tokens)] = example.tokens
        at[i, : len(example.at)] = example.at
        at[i, len(example.at) :] = example.at[-1]
        targets[i, : len(example.at)] = example.targets
    return Batch(*(torch.from_numpy(part).to(device) for part in (tokens, at, targets)))


def scored_tokens(examples: Sequence[Example]) -> int:
    return sum(len(example.at) for example in examples)
