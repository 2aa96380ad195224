"""A compiled model, run on values instead of token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from engine.models.labels import Labels
from engine.rasp.functions import Value
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.protocols import TransformerModel

ROWS = 512  # inputs in one pass


def labels_of(model: TransformerModel, where: str) -> Labels:
    """CallError when nobody said what the model's tokens and logits mean."""
    if model.labels is None:
        raise CallError(
            f"{model.handle.title} is not a compiled model: nothing says which value a token or a logit is",
            where,
            "choose one made by rasp.compile, or a folder with weights.safetensors and labels.json",
        )
    return model.labels


def token_ids(labels: Labels, inputs: Sequence[Sequence[Value]]) -> list[list[int]]:
    """Ids with the beginning token in front. KeyError for a value outside the vocabulary."""
    ids = {value: i for i, value in enumerate(labels.tokens) if i not in (labels.bos, labels.pad)}
    return [[labels.bos, *(ids[value] for value in row)] for row in inputs]


def decoded(labels: Labels, logits: Float[Tensor, "pos outputs"]) -> list[Value]:
    """The value at every position: the best of the outputs, or the number itself."""
    if labels.outputs is None:
        return [float(number) for number in logits[:, 0]]
    return [labels.outputs[i] for i in logits.argmax(dim=-1).tolist()]


def outputs(model: TransformerModel, inputs: Sequence[Sequence[Value]]) -> list[list[Value]]:
    """What the model says at every token of every input (the beginning token left out). Inputs of one length share a
    pass, so padding plays no part."""
    labels = labels_of(model, "rasp.run")
    ids = token_ids(labels, inputs)
    found: list[list[Value]] = [[] for _ in inputs]
    by_length: dict[int, list[int]] = {}
    for i, row in enumerate(ids):
        by_length.setdefault(len(row), []).append(i)
    for rows in by_length.values():
        for begin in range(0, len(rows), ROWS):
            some = rows[begin : begin + ROWS]
            tokens = torch.tensor([ids[i] for i in some], device=model.device)
            logits = model.unembed(model.forward(tokens).resid_pre[-1]).float().cpu()
            for i, of in zip(some, logits):
                found[i] = decoded(labels, of[1:])
    return found
