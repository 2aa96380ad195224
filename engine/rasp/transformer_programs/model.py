"""The constrained transformer: modules read chosen variables of the residual stream and append new ones.

A categorical variable is one-hot of a fixed width, a numerical one a number (`ones` at first, so that sums count).
Which variable a module reads, and which key value a query value looks for, are choices (`gates.py`): with relaxed
choices the network trains, with hard ones it is a program. Paper sections 3.1 to 3.3.

Variables are numbered in the order they are appended. Categorical: tokens, positions, then per layer its categorical
heads, its categorical MLPs, its numerical MLPs. Numerical: ones, then per layer its numerical heads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.rasp.transformer_programs.gates import Choice

Weights = dict[str, Tensor]
NO_MATCH = 1e-10  # its logarithm stands for minus infinity and still has a gradient
SELF = -2.0  # a position attends to itself only when nothing else matches
MASKED = -1e9


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How large the network is. Heads and MLPs are counted per layer."""

    tokens: int
    context: int
    classes: int
    layers: int = 1
    categorical_heads: int = 2
    numerical_heads: int = 2
    categorical_mlps: int = 1
    numerical_mlps: int = 1
    hidden: int = 64
    causal: bool = False

    @property
    def width(self) -> int:
        """The values a categorical variable can take: tokens and positions both fit."""
        return max(self.tokens, self.context)

    def categorical(self, layer: int) -> int:
        """Categorical variables there are before a layer."""
        return 2 + layer * (self.categorical_heads + self.categorical_mlps + self.numerical_mlps)

    def numerical(self, layer: int) -> int:
        return 1 + layer * self.numerical_heads

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters. Of a layer's heads the categorical ones come first."""
        d, heads = self.width, self.categorical_heads + self.numerical_heads
        found: dict[str, tuple[int, ...]] = {}
        for layer in range(self.layers):
            cat, num, at = self.categorical(layer), self.numerical(layer), f"layers.{layer}"
            found[f"{at}.query"] = found[f"{at}.key"] = (heads, cat)
            found[f"{at}.predicate"] = (heads, d, d)
            found[f"{at}.value"] = (self.categorical_heads, cat)
            found[f"{at}.number"] = (self.numerical_heads, num)
            for kind, count, variables, inputs in (
                ("categorical_mlp", self.categorical_mlps, cat + self.categorical_heads, 2 * d),
                ("numerical_mlp", self.numerical_mlps, num + self.numerical_heads, 2),
            ):
                found[f"{at}.{kind}.read"] = (count, 2, variables)
                found[f"{at}.{kind}.in"] = (count, inputs, self.hidden)
                found[f"{at}.{kind}.in_bias"] = (count, 1, self.hidden)
                found[f"{at}.{kind}.out"] = (count, self.hidden, d)
                found[f"{at}.{kind}.out_bias"] = (count, 1, d)
        found["classifier.categorical"] = (self.categorical(self.layers), d, self.classes)
        found["classifier.numerical"] = (self.numerical(self.layers), self.classes)
        return {name: shape for name, shape in found.items() if math.prod(shape)}


class Stream(NamedTuple):
    """All variables after the last layer, in the order of `Shape`, and the logits of the classes."""

    categorical: Float[Tensor, "variable batch position value"]
    numerical: Float[Tensor, "variable batch position"]
    logits: Float[Tensor, "batch position class"]


def initial(shape: Shape, generator: torch.Generator) -> Weights:
    """Normal numbers scaled down by the square root of how many compete, biases zero."""
    weights = {}
    for name, size in shape.shapes().items():
        if name.endswith("bias"):
            weights[name] = torch.zeros(size)
        else:
            # Choices and layers alike: the options, or for an MLP's first matrix the units, are the last axis.
            weights[name] = torch.randn(size, generator=generator) / math.sqrt(size[-1])
    return weights


def distance_bias(positions: int) -> Float[Tensor, "query key"]:
    """What makes the closest match win: nearer is better, before is better than as far after, oneself comes last."""
    offset = torch.arange(positions)[None, :] - torch.arange(positions)[:, None]
    bias = -(offset.abs() - 1).float() / max(positions - 1, 1) - 0.25 / max(positions - 1, 1) * (offset > 0)
    return torch.where(offset == 0, torch.full((), SELF), bias)


def visible(ids: Int[Tensor, "batch position"], shape: Shape) -> Bool[Tensor, "batch query key"]:
    """Which keys a query sees: no padding, and in a causal network nothing that comes after it."""
    real = ids != shape.tokens - 1
    seen = real[:, None, :].expand(-1, ids.shape[1], -1)
    if shape.causal:
        seen = seen & torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=ids.device).tril()
    return seen


class Present(NamedTuple):
    """1 for a variable that is written, 0 for one whose head or MLP is taken out."""

    categorical: Float[Tensor, " variable"]
    numerical: Float[Tensor, " variable"]


def forward(
    shape: Shape,
    weights: Weights,
    ids: Int[Tensor, "batch position"],
    choose: Choice,
    present: Present | None = None,
) -> Stream:
    """One pass. `choose` makes every choice: gates, predicates, where a head looks, what an MLP answers. A variable
    that is not `present` is all zeros: it matches nothing, and says nothing to MLPs and classifier."""
    batch, length = ids.shape
    d, hc, hn = shape.width, shape.categorical_heads, shape.numerical_heads
    eye = torch.eye(d, dtype=weights["classifier.categorical"].dtype, device=ids.device)
    cat = torch.stack([eye[ids], eye[:length].expand(batch, -1, -1)])
    num = torch.ones(1, batch, length, dtype=eye.dtype, device=ids.device)
    seen = visible(ids, shape)
    bias = distance_bias(length).to(eye)
    for layer in range(shape.layers):
        at = f"layers.{layer}"
        found = []
        if hc + hn:
            reads = [choose(weights[f"{at}.query"]), choose(weights[f"{at}.key"])]
            if hc:
                reads.append(choose(weights[f"{at}.value"]))
            # One product reads the queries, keys and values of all heads.
            read = (torch.cat(reads) @ cat.flatten(1)).view(-1, batch, length, d)
            queries, keys, values = torch.split(read, [hc + hn, hc + hn, hc])
            wanted = queries.flatten(1, 2) @ choose(weights[f"{at}.predicate"])
            match = wanted.view(keys.shape) @ keys.transpose(-1, -2) * seen
            closest, summed = torch.split(match, [hc, hn])
            if hc:
                found.append(choose(_scores(closest, bias, seen) / math.sqrt(d)) @ values)
            if hn:
                numbers = (choose(weights[f"{at}.number"]) @ num.flatten(1)).view(hn, batch, length)
                sums = (summed @ numbers[..., None])[..., 0]
                if present is not None:
                    sums = sums * present.numerical[len(num) :][:hn, None, None]
                num = torch.cat([num, sums])
        cat = _append(cat, found, present)
        made = []
        if shape.categorical_mlps:
            gate = choose(weights[f"{at}.categorical_mlp.read"]).flatten(0, 1)
            pair = (gate @ cat.flatten(1)).view(-1, 2, batch * length, d).transpose(1, 2).flatten(2)
            made.append(choose(_mlp(weights, f"{at}.categorical_mlp", pair)).view(-1, batch, length, d))
        if shape.numerical_mlps:
            gate = choose(weights[f"{at}.numerical_mlp.read"]).flatten(0, 1)
            pair = (gate @ num.flatten(1)).view(-1, 2, batch * length).transpose(1, 2)
            made.append(choose(_mlp(weights, f"{at}.numerical_mlp", pair)).view(-1, batch, length, d))
        cat = _append(cat, made, present)
    logits = cat.permute(1, 2, 0, 3).flatten(2) @ weights["classifier.categorical"].flatten(0, 1)
    logits = logits + torch.einsum("ubp,uc->bpc", num, weights["classifier.numerical"])
    return Stream(cat, num, logits)


def _append(
    stream: Float[Tensor, "variable batch position value"],
    new: list[Float[Tensor, "new batch position value"]],
    present: Present | None,
) -> Float[Tensor, "longer batch position value"]:
    appended = torch.cat([stream, *new])
    if present is not None:
        appended = appended * present.categorical[: len(appended), None, None, None]
    return appended


def _scores(
    match: Float[Tensor, "head batch query key"],
    bias: Float[Tensor, "query key"],
    seen: Bool[Tensor, "batch query key"],
) -> Float[Tensor, "head batch query key"]:
    """What a categorical head compares: matches, closest best; where nothing matches, position 0."""
    missing = (1 - match.sum(-1, keepdim=True)).clamp(min=0)
    first = torch.zeros(match.shape[-1], dtype=match.dtype, device=match.device)
    first[0] = 1
    match = match + missing * first
    return ((match + NO_MATCH).log() + bias).masked_fill(~seen, MASKED)


def _mlp(weights: Weights, at: str, x: Float[Tensor, "mlp row inputs"]) -> Float[Tensor, "mlp row value"]:
    hidden = torch.relu(torch.baddbmm(weights[f"{at}.in_bias"], x, weights[f"{at}.in"]))
    return torch.baddbmm(weights[f"{at}.out_bias"], hidden, weights[f"{at}.out"])


def answer(shape: Shape, weights: Weights, at: str, index: int, pairs: Int[Tensor, "row 2"]) -> Int[Tensor, " row"]:
    """What MLP `index` of `at` (`layers.0.categorical_mlp`, ...) answers to pairs of values, indices or numbers."""
    one = {name: weight[index : index + 1] for name, weight in weights.items() if name.startswith(f"{at}.")}
    inputs = pairs.to(weights[f"{at}.in"].dtype)
    if at.endswith("categorical_mlp"):
        inputs = torch.nn.functional.one_hot(pairs, shape.width).flatten(1).to(inputs)
    return _mlp(one, at, inputs[None])[0].argmax(-1)
