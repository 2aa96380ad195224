"""A trained network as bytes, and back: safetensors with its task and shape in the metadata. Nothing is unpickled."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from engine.rasp.transformer_programs.model import Shape, Weights
from engine.rasp.transformer_programs.tasks import Task, make_task
from sessions.errors import CallError

_KEY = "transformer_program"


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What the weights are of."""

    task: str
    vocabulary: int = 8
    length: int | None = None
    shape: Shape


class Stored(NamedTuple):
    task: Task
    shape: Shape
    weights: Weights


def to_bytes(description: Description, weights: Weights) -> bytes:
    """The same network gives the same bytes: the metadata has a single entry, and the names are sorted."""
    ordered = {name: weights[name].detach().cpu().contiguous() for name in sorted(weights)}
    return bytes(save(ordered, {_KEY: msgspec.json.encode(description).decode()}))


def from_bytes(data: bytes) -> Stored:
    """Task, shape and weights. CallError when these are not the weights of a Transformer Program, or do not fit."""
    try:
        size = int.from_bytes(data[:8], "little")
        header = msgspec.json.decode(data[8 : 8 + size])
        description = msgspec.json.decode(header["__metadata__"][_KEY], type=Description)
        weights = {name: tensor.float() for name, tensor in load(data).items()}
    except (msgspec.DecodeError, SafetensorError, KeyError, TypeError, ValueError):
        raise CallError("these are not the weights of a Transformer Program", "model") from None
    task = make_task(description.task, vocabulary=description.vocabulary, length=description.length)
    shape = description.shape
    fits = {name: tuple(tensor.shape) for name, tensor in weights.items()} == shape.shapes()
    fits = fits and (shape.tokens, shape.context, shape.classes) == (len(task.tokens), task.context, len(task.classes))
    if not fits or shape.causal != task.causal:
        raise CallError("the weights do not fit their description", "model")
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise CallError("some weights are not numbers", "model")
    return Stored(task, shape, weights)
