"""Inputs of a compiled model as prompts that are scored at every position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.models.protocols import TwoVocabularies, answers_of
from engine.rasp.execution import labels_of
from sessions.artifacts import PromptRow
from sessions.errors import CallError

if TYPE_CHECKING:
    import numpy as np

    from engine.models.protocols import TransformerModel


def scored_everywhere(
    rng: np.random.Generator, n: int, *, model: TransformerModel, length: int | None = None
) -> list[PromptRow]:
    """`n` inputs of `length` values (none: of all lengths that fit, evenly), each scored at every position.

    Answers are the model's own outputs there; a model whose output is a number has none, and is measured by how far it
    moves. The corrupt partner is another input of the same length.
    """
    import torch

    labels = labels_of(model, "rasp.prompts")
    longest = labels.max_len or model.config.n_ctx - 1
    if length is not None and length > longest:
        raise CallError(f"the model takes inputs of up to {longest} values", "parameter 'length'", f"at most {longest}")
    masks = isinstance(model.tokenizer, TwoVocabularies) and model.tokenizer.mixes_lengths
    lengths = range(1, longest + 1) if length is None and masks else [length or longest]
    usable = [i for i in range(len(labels.tokens)) if i not in (labels.bos, labels.pad)]
    rows = []
    for number in range(n):
        count = lengths[number % len(lengths)]
        clean, corrupt = rng.choice(usable, size=(2, count)).tolist()
        said: tuple[str, ...] = ()
        if labels.outputs is not None:
            tokens = torch.tensor([[labels.bos, *clean]], device=model.device)
            logits = model.unembed(model.forward(tokens).resid_pre[-1][:, 1:])
            said = tuple(answers_of(model.tokenizer).token_texts(logits[0].argmax(-1).tolist()))
        first, second = (model.tokenizer.decode(ids) for ids in (clean, corrupt))
        rows.append(PromptRow(clean=first, corrupt=second, answers=said, group=f"length {count}", scored_from=1))
    return rows


__all__ = ["scored_everywhere"]
