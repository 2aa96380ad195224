"""Prompt rows as tensors: what a method runs on, and where it reads the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import torch
from jaxtyping import Int
from torch import Tensor

from engine.models.protocols import TwoVocabularies
from engine.prompts.reading import Reader
from sessions.artifacts import PromptRow, Prompts
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import Tokenizer


class TokenBatch(NamedTuple):
    """Prompts as token ids, right-padded: with the model's padding token where it has one, else with 0 (attention is
    causal, so padding after the end changes nothing).

    `answers[i, k]` is the token that should follow position `at[i, k]`. Rows with one answer have k = 1 and `at` is
    the last token; rows with `scored_from` have one k per scored token, and their foils are the corrupt partner's
    tokens there. A compiled model's outputs belong to the positions themselves; where a row has no answers for them (a
    number has none) they are -1. Where such rows differ in length, the last position of a shorter one counts again.
    A row with several answers or foils (greater-than) has its first in `answers` / `foils` and all in `all_answers` /
    `all_foils`, padded with -1.
    """

    tokens: Int[Tensor, "batch pos"]
    corrupt: Int[Tensor, "batch pos"] | None
    lengths: Int[Tensor, " batch"]
    at: Int[Tensor, "batch k"]
    answers: Int[Tensor, "batch k"]
    foils: Int[Tensor, "batch k"] | None
    all_answers: Int[Tensor, "batch n"] | None = None
    all_foils: Int[Tensor, "batch m"] | None = None


def tokenize(
    rows: Sequence[PromptRow],
    tokenizer: Tokenizer,
    *,
    n_ctx: int,
    need_corrupt: bool = False,
    need_foils: bool = False,
    need_answers: bool = True,
) -> TokenBatch:
    """The rows as one batch on the CPU.

    `corrupt` is filled when `need_corrupt`, `foils` when `need_foils`: what is not needed is not checked either.
    Without `need_answers` nothing is scored: `at` and `answers` are each prompt's last token. Raises CallError, naming
    the row (from 1): an empty set, a prompt longer than `n_ctx`, an answer or foil that is missing or not one token, a
    corrupt partner that is missing or of another token length, scored parts of different length; and of models that do
    not mask padding, rows of unequal length.
    """
    if not rows:
        raise CallError("the set of prompts is empty", "prompts", "make or open at least one prompt")
    reader = Reader(tokenizer, n_ctx)
    clean = [reader.clean(row, number) for number, row in enumerate(rows, 1)]
    pad = _padding(tokenizer, clean)
    starts = [reader.scored_from(row, ids) if need_answers else None for row, ids in zip(rows, clean)]
    whole = starts[0] is not None
    corrupt: list[list[int]] = []
    if need_corrupt or (whole and need_foils):
        corrupt = [reader.corrupt(row, number, ids) for number, (row, ids) in enumerate(zip(rows, clean), 1)]
    at: list[list[int]] = []
    answers: list[list[int]] = []
    foils: list[list[int]] = []
    all_answers: list[list[int]] = []
    all_foils: list[list[int]] = []
    for index, (row, ids, start) in enumerate(zip(rows, clean, starts)):
        number = index + 1
        if (start is not None) != whole:
            raise CallError(
                "the set mixes prompts with one answer and prompts that are scored token by token",
                f"row {number}",
                "keep the two kinds in separate sets",
            )
        if start is None:
            at.append([len(ids) - 1])
            all_answers.append(reader.next_tokens(row, number, ids) if need_answers else ids[-1:])
            answers.append(all_answers[-1][:1])
            if need_foils:
                all_foils.append(reader.next_tokens(row, number, ids, "foil"))
                foils.append(all_foils[-1][:1])
            continue
        if not 0 < start < len(ids):
            raise CallError(
                f"the scored part begins at token {start} of {len(ids)}",
                f"row {number}",
                "it must begin after the first token and before the end",
            )
        outputs = isinstance(tokenizer, TwoVocabularies)  # what stands at a position is said there, not one before
        at.append(list(range(start, len(ids))) if outputs else list(range(start - 1, len(ids) - 1)))
        if len(at[-1]) != len(at[0]) and not outputs:
            raise CallError(
                f"{len(at[-1])} tokens are scored here and {len(at[0])} in row 1",
                f"row {number}",
                "all rows of a set need the same number of scored tokens",
            )
        if outputs:
            answers.append(reader.outputs(row, number, ids, len(at[-1])))
            if need_foils:
                foils.append(reader.outputs(row, number, ids, len(at[-1]), "foil"))
            continue
        answers.append(ids[start:])
        if need_foils:
            foils.append(corrupt[index][start:])
    if whole and isinstance(tokenizer, TwoVocabularies):
        at, answers, foils = (_evened(part) for part in (at, answers, foils))
    several = not whole and any(len(ids) > 1 for ids in (*all_answers, *all_foils))
    return TokenBatch(
        tokens=_padded(clean, pad),
        corrupt=_padded(corrupt, pad) if need_corrupt else None,
        lengths=torch.tensor([len(ids) for ids in clean]),
        at=torch.tensor(at),
        answers=torch.tensor(answers),
        foils=torch.tensor(foils) if need_foils else None,
        all_answers=_padded(all_answers, -1) if several else None,
        all_foils=_padded(all_foils, -1) if several and need_foils else None,
    )


def look(prompts: Prompts, tokenizer: Tokenizer, n_ctx: int) -> Prompts:
    """The same prompts as this tokenizer sees them: tokens, named positions, and each row's problem, if it has one."""
    reader = Reader(tokenizer, n_ctx)
    rows = tuple(_looked(reader, row, number) for number, row in enumerate(prompts.rows, 1))
    return msgspec.structs.replace(prompts, rows=rows, tokenizer=tokenizer.name)


def _looked(reader: Reader, row: PromptRow, number: int) -> PromptRow:
    def texts(text: str) -> tuple[str, ...]:
        try:
            return tuple(reader.tokenizer.token_texts(reader.bos + reader.tokenizer.encode(text))) if text else ()
        except CallError:  # a word outside the vocabulary: the problem says which
            return ()

    clean = texts(row.clean)
    ids = reader.bos + reader.tokenizer.encode(row.clean) if clean else []
    return msgspec.structs.replace(
        row,
        clean_tokens=clean,
        corrupt_tokens=texts(row.corrupt),
        positions=reader.positions(row, ids) if ids else {},
        scored_from=reader.scored_from(row, ids) if ids else row.scored_from,
        problem=reader.problem(row, number),
    )


def _padding(tokenizer: Tokenizer, prompts: Sequence[Sequence[int]]) -> int:
    """The token that fills up shorter prompts. CallError when there are some and the model would read it."""
    if not isinstance(tokenizer, TwoVocabularies):
        return 0
    length = len(prompts[0])
    other = next((i for i, ids in enumerate(prompts) if len(ids) != length), None)
    if other is not None and not tokenizer.mixes_lengths:
        raise CallError(
            f"the prompt has {len(prompts[other])} tokens and that of row 1 has {length}, and this model does not mask "
            "padding",
            f"row {other + 1}",
            "keep prompts of one length in a set",
        )
    return tokenizer.pad_id or 0


def _evened(rows: list[list[int]]) -> list[list[int]]:
    """Rows as long as the longest: the last entry again and again."""
    longest = max((len(row) for row in rows), default=0)
    return [row + row[-1:] * (longest - len(row)) for row in rows]


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Int[Tensor, "batch pos"]:
    batch = torch.full((len(rows), max(len(ids) for ids in rows)), fill, dtype=torch.long)
    for index, ids in enumerate(rows):
        batch[index, : len(ids)] = torch.tensor(ids, dtype=torch.long)
    return batch
