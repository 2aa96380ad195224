"""Loss and gradient of many recurrent networks of one shape on one batch, by back-propagation through time.

What autograd gives through `torch.func.vmap(unroll)`, some ten to thirty times as fast on a CPU: these networks are so
small that the time goes into the shape of the products. Here a sequence is a column (network, feature, column), so that
the long axis is the contiguous one; each layer is one batched product; nothing is recorded. Tested against autograd.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from engine.models.rnn import Weights

CACHE = 4 * 2**20  # bytes of states and activations beyond which networks side by side slow each other down on a CPU


class Layer(NamedTuple):
    """Weights as they are multiplied forwards and backwards."""

    weight: Float[Tensor, "net out fan_in"]
    bias: Float[Tensor, "net out 1"]
    transposed: Float[Tensor, "net fan_in out"]


class Columns(NamedTuple):
    """One batch, a column for each sequence, or for each distinct prefix of that length.

    `inputs` are (input, column) per position; `wanted` and `share` are over the columns of all positions, one position
    after the other. `share` is what a column counts in the mean of the loss: together 1. Each column is followed by
    `followers` columns of the next position: one, or one per symbol where columns are prefixes.
    """

    inputs: tuple[Float[Tensor, "inputs column"], ...]
    wanted: Float[Tensor, "outputs columns"]
    share: Float[Tensor, " columns"]
    followers: int = 1


class Slope(NamedTuple):
    """Each network's loss, its absolute output errors, and the gradient of its loss by its own weights."""

    loss: Float[Tensor, " net"]
    error: Float[Tensor, "net outputs columns"]
    gradients: dict[str, Float[Tensor, "net ..."]]


def of_sequences(x: Float[Tensor, "batch pos inputs"], wanted: Float[Tensor, "batch pos outputs"]) -> Columns:
    """A column for each sequence."""
    batch, positions, _ = x.shape
    columns = wanted.permute(2, 1, 0).reshape(wanted.shape[2], -1)
    share = x.new_full((batch * positions,), 1 / (batch * positions))
    return Columns(x.permute(1, 2, 0).contiguous().unbind(0), columns, share)


def of_prefixes(symbols: Float[Tensor, "symbols inputs"], wanted: Float[Tensor, "batch pos outputs"]) -> Columns:
    """A column for each distinct prefix; `wanted` is that of every sequence over the symbols, in counting order.

    Position t has symbols ** t columns in place of symbols ** positions, and its mean is the same.
    """
    count, positions = len(symbols), wanted.shape[1]
    inputs = tuple(symbols.T.repeat(1, count**t) for t in range(positions))
    each = [wanted[:: count ** (positions - 1 - t), t].T for t in range(positions)]
    share = torch.cat([wanted.new_full((one.shape[1],), 1 / (one.shape[1] * positions)) for one in each])
    return Columns(inputs, torch.cat(each, dim=1), share, count)


def slope(
    weights: Weights,
    columns: Columns,
    *,
    noise: Float[Tensor, "pos hidden column"] | None = None,
    squared: bool = False,
) -> Slope:
    """Loss, errors and gradients of all networks; `weights` are stacked, network first.

    The loss is 0.5 log(1 + e^2) of each output's error e (section 2.2), or 0.5 e^2 if `squared`, averaged. `noise` is
    added to the states (not for prefixes).
    """
    together = _together(weights, columns)
    groups = [
        {name: w[start : start + together] for name, w in weights.items()}
        for start in range(0, len(next(iter(weights.values()))), together)
    ]
    found = [_slope(group, columns, noise, squared) for group in groups]
    if len(found) == 1:
        return found[0]
    return Slope(
        torch.cat([one.loss for one in found]),
        torch.cat([one.error for one in found]),
        {name: torch.cat([one.gradients[name] for one in found]) for name in weights},
    )


def _together(weights: Weights, columns: Columns) -> int:
    """How many networks to compute at once."""
    nets = len(next(iter(weights.values())))
    if columns.wanted.is_cuda:
        return nets
    features = sum(w.shape[2] for name, w in weights.items() if name.endswith(".weight"))
    each = features * len(columns.share) * columns.share.element_size()
    groups = -(-nets * each // CACHE)
    return -(-nets // min(groups, nets))


def _slope(
    weights: Weights, columns: Columns, noise: Float[Tensor, "pos hidden column"] | None, squared: bool
) -> Slope:
    """`slope` of networks that are computed at once."""
    f, g = _layers(weights, "f"), _layers(weights, "g")
    tape = _forward(f, columns, noise)
    states = torch.cat([values[-1] for values in tape], dim=2)
    read = _through(g, states)
    error = read[-1] - columns.wanted
    share = columns.share / len(columns.wanted)
    square = error * error
    if squared:
        loss, falling = 0.5 * square, error * share
    else:
        loss, falling = 0.5 * torch.log1p(square), error / (1 + square) * share
    found = _Sums(weights)
    into_states = _back(g, read, falling, found, "g")
    _back_through_time(f, tape, into_states, columns.followers, found)
    return Slope((loss * share).sum(dim=(1, 2)), error.abs(), found.gradients)


class _Sums:
    """Gradients of weights, summed over positions."""

    def __init__(self, weights: Weights) -> None:
        self.gradients = {
            name: torch.zeros_like(w, memory_format=torch.contiguous_format) for name, w in weights.items()
        }

    def add(
        self, layer: str, falling: Float[Tensor, "net out column"], fed: Float[Tensor, "net fan_in column"]
    ) -> None:
        self.gradients[f"{layer}.weight"].baddbmm_(falling, fed.transpose(1, 2))
        self.gradients[f"{layer}.bias"].add_(falling.sum(dim=2))


def _layers(weights: Weights, part: str) -> list[Layer]:
    depth = sum(1 for name in weights if name.startswith(f"{part}.") and name.endswith(".weight"))
    found = []
    for k in range(depth):
        weight, bias = weights[f"{part}.{k}.weight"], weights[f"{part}.{k}.bias"]
        found.append(Layer(weight, bias[:, :, None], weight.transpose(1, 2).contiguous()))
    return found


def _through(
    layers: list[Layer], values: Float[Tensor, "net fan_in column"]
) -> list[Float[Tensor, "net feature column"]]:
    """What each layer reads, and at the end what the last one writes."""
    kept = [values]
    for number, layer in enumerate(layers, 1):
        values = torch.baddbmm(layer.bias, layer.weight, values)
        if number < len(layers):
            values.relu_()
        kept.append(values)
    return kept


def _forward(
    f: list[Layer], columns: Columns, noise: Float[Tensor, "pos hidden column"] | None
) -> list[list[Float[Tensor, "net feature column"]]]:
    """Per position what each layer of f reads, and the state it writes."""
    nets, hidden = f[-1].weight.shape[:2]
    tape: list[list[Tensor]] = []
    for t, x in enumerate(columns.inputs):
        fed = x.new_empty((nets, hidden + x.shape[0], x.shape[1]))
        fed[:, hidden:] = x
        if t == 0:
            fed[:, :hidden] = 0
        elif columns.followers == 1:
            fed[:, :hidden] = tape[-1][-1]
        else:
            fed[:, :hidden].view(nets, hidden, -1, columns.followers).copy_(tape[-1][-1].unsqueeze(3))
        values = _through(f, fed)
        if noise is not None:
            values[-1].add_(noise[t])
        tape.append(values)
    return tape


def _back(
    layers: list[Layer],
    kept: list[Float[Tensor, "net feature column"]],
    falling: Float[Tensor, "net out column"],
    found: _Sums,
    part: str,
) -> Float[Tensor, "net fan_in column"]:
    """The gradient by what the first layer reads, given that by what the last writes; adds those by the weights."""
    for number in reversed(range(len(layers))):
        found.add(f"{part}.{number}", falling, kept[number])
        falling = torch.bmm(layers[number].transposed, falling)
        if number:
            torch.ops.aten.threshold_backward.grad_input(falling, kept[number], 0, grad_input=falling)
    return falling


def _back_through_time(
    f: list[Layer],
    tape: list[list[Float[Tensor, "net feature column"]]],
    into_states: Float[Tensor, "net hidden columns"],
    followers: int,
    found: _Sums,
) -> None:
    nets, hidden = into_states.shape[:2]
    each = torch.split(into_states, [values[-1].shape[2] for values in tape], dim=2)
    later: Tensor | None = None
    for values, read in zip(reversed(tape), reversed(each)):
        falling = read.contiguous() if later is None else read + later
        into_fed = _back(f, values, falling, found, "f")[:, :hidden]
        later = into_fed if followers == 1 else into_fed.view(nets, hidden, -1, followers).sum(dim=3)
