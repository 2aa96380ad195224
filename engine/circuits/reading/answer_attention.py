"""Attention paid to the answer: how much of what the scored position looks at is where the answer stands in the prompt.

The seed study's "attention to c" (section 5.4), for any task whose answer is a word of the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec
import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.circuits.reading.attention import Pairs, answer_pairs, patterns
from engine.models.protocols import TransformerModel, answers_of
from engine.prompts.reading import Reader
from engine.prompts.tokenized import TokenBatch
from sessions.artifacts import PromptRow
from sessions.errors import CallError


def attention_to_answer(
    model: TransformerModel,
    rows: Sequence[PromptRow],
    batch: TokenBatch,
    *,
    at_once: int = 64,
    before: Callable[[], None] = lambda: None,
) -> Float[Tensor, "layer head"]:
    """The attention from the scored position to the answer's places, summed over places, mean over the prompts that
    have any; NaN where none has. `batch` are the rows as this model's tokens (`tokenize`, with answers).

    `at_once` prompts go through the model together; `before` is called before each time.
    """
    pairs = answer_places(model, rows, batch)
    parts = []
    for start in range(0, len(batch.tokens), at_once):
        before()
        chunk = slice(start, start + at_once)
        pattern = patterns(model, batch.tokens[chunk])
        parts.append(per_prompt(pattern, within(pairs, chunk), mean_over="queries").values)
    return torch.cat(parts).nanmean(0).float()


def answer_places(model: TransformerModel, rows: Sequence[PromptRow], batch: TokenBatch) -> Pairs:
    """(prompt, scored position, each place up to it where the answer stands).

    Where the prompt names a span whose text is the answer, that span's tokens: the answer may be written there with
    other tokens than at the end, or with several. Else wherever the answer's token stands.
    """
    reader = Reader(model.tokenizer, model.config.n_ctx)
    spelled = answer_pairs(batch.tokens, batch.at, answers_as_tokens(model, batch.answers))
    found: list[Pairs] = []
    for number, row in enumerate(rows):
        named = _named(reader, row, batch.tokens[number, : int(batch.lengths[number])].tolist())
        query = int(batch.at[number, -1])
        keys = sorted({key for first, last in named for key in range(first, last + 1) if key <= query})
        if keys:
            places = [(number, query, key) for key in keys]
            found.append(Pairs(*torch.tensor(places, dtype=torch.long).T))
        else:
            found.append(Pairs(*(part[spelled.prompt == number] for part in spelled)))
    return Pairs(*(torch.cat(parts) for parts in zip(*found)))


def _named(reader: Reader, row: PromptRow, ids: Sequence[int]) -> list[tuple[int, int]]:
    """First and last token of every named span that spells the row's only answer."""
    if len(row.answers) != 1 or row.scored_from is not None:
        return []
    wanted = row.answers[0].strip()
    found = []
    for start, stop in row.spans.values():
        text = row.clean[start:stop]
        if wanted and text.strip() == wanted:
            before = row.clean[:start].rstrip()
            ends = {"last": (start, stop)} | ({"before": (0, len(before))} if before else {})
            places = reader.positions(msgspec.structs.replace(row, spans=ends), ids)
            found.append((places["before"] + 1 if before else len(reader.bos), places["last"]))
    return found


def answers_as_tokens(model: TransformerModel, answers: Int[Tensor, "batch k"]) -> Int[Tensor, "batch k"]:
    """The answers as ids of tokens, -1 where no token is that answer: logits may be of another vocabulary."""
    spoken = answers_of(model.tokenizer)
    if spoken is model.tokenizer:
        return answers
    tokens: dict[int, int] = {}
    for answer in set(answers.flatten().tolist()):
        try:
            (tokens[answer],) = model.tokenizer.encode(spoken.token_texts([answer])[0])
        except (CallError, ValueError):
            tokens[answer] = -1
    return answers.clone().apply_(tokens.__getitem__)


class PerPrompt(NamedTuple):
    """Attention at some pairs, prompt by prompt, and what uniform attention would pay; NaN for a prompt without any."""

    values: Float[Tensor, "prompt layer head"]
    chance: Float[Tensor, " prompt"]


def per_prompt(
    pattern: Float[Tensor, "prompt layer head query key"],
    pairs: Pairs,
    *,
    lengths: Int[Tensor, " prompt"] | None = None,
    mean_over: Literal["pairs", "queries"] = "pairs",
) -> PerPrompt:
    """The attention at these pairs, a mean per prompt over its pairs, or over its queries of what each pays in all.

    In double precision. Chance is over the tokens up to the query; with `lengths`, for bidirectional attention, over
    all tokens of the prompt.
    """
    n, length = len(pattern), pattern.shape[3]
    visible = pairs.query + 1.0 if lengths is None else lengths[pairs.prompt].double()
    if mean_over == "pairs":
        counts = torch.bincount(pairs.prompt, minlength=n).double()
    else:
        asked = torch.unique(pairs.prompt * length + pairs.query) // length
        counts = torch.bincount(asked, minlength=n).double()
    counts[counts == 0] = torch.nan
    values = torch.zeros(n, *pattern.shape[1:3], dtype=torch.double)
    values.index_add_(0, pairs.prompt, pattern.permute(0, 3, 4, 1, 2)[pairs.prompt, pairs.query, pairs.key].double())
    chance = torch.zeros(n, dtype=torch.double).index_add_(0, pairs.prompt, 1 / visible.double())
    return PerPrompt(values / counts[:, None, None], chance / counts)


def within(pairs: Pairs, rows: slice) -> Pairs:
    """The pairs of a slice of the prompts, counted from its start."""
    here = (pairs.prompt >= rows.start) & (pairs.prompt < rows.stop)
    return Pairs(pairs.prompt[here] - rows.start, pairs.query[here], pairs.key[here])


__all__ = [
    "PerPrompt",
    "answer_places",
    "answers_as_tokens",
    "attention_to_answer",
    "per_prompt",
    "within",
]
