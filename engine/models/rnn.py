"""The recurrent network of MIPS: h_t = f([h_{t-1}; x_t]), y_t = g(h_t), h_0 = 0, with f and g small MLPs.

Source: Michaud et al., "Opening the AI black box" (arXiv:2402.05110). Weights are a flat dictionary, `f.0.weight`,
`f.0.bias`, ..., `g.0.weight`, numbered by affine layer, so one set of functions serves a single network, training
(autograd flows through) and many networks side by side (`torch.func.vmap`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import linear

from sessions.artifacts import Model
from sessions.errors import CallError

Weights = Mapping[str, Tensor]


class RnnConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of the network. `f` and `g` are the widths of their hidden layers: `[]` is one affine map, `[8]` is
    affine, ReLU, affine. `task` names what it was trained on, for titles only; `low`..`high` and `length` say which
    inputs it was trained on: integers of that range, in sequences of that length."""

    hidden: int
    inputs: int
    outputs: int = 1
    f: tuple[int, ...] = ()
    g: tuple[int, ...] = ()
    task: str = ""
    low: int = 0
    high: int = 1
    length: int = 10

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's name and shape."""
        sizes = {
            "f": (self.hidden + self.inputs, *self.f, self.hidden),
            "g": (self.hidden, *self.g, self.outputs),
        }
        found: dict[str, tuple[int, ...]] = {}
        for part, widths in sizes.items():
            for layer, (fan_in, fan_out) in enumerate(pairwise(widths)):
                found[f"{part}.{layer}.weight"] = (fan_out, fan_in)
                found[f"{part}.{layer}.bias"] = (fan_out,)
        return found


def mlp(weights: Weights, part: str, values: Float[Tensor, "*batch fan_in"]) -> Float[Tensor, "*batch fan_out"]:
    """The MLP whose tensors are named `part.0.weight`...: affine layers with a ReLU between them, none at the end."""
    depth = sum(1 for name in weights if name.startswith(f"{part}.") and name.endswith(".weight"))
    for layer in range(depth):
        values = linear(values, weights[f"{part}.{layer}.weight"], weights[f"{part}.{layer}.bias"])
        if layer < depth - 1:
            values = values.relu()
    return values


def unroll(
    weights: Weights, x: Float[Tensor, "batch pos inputs"], noise: Float[Tensor, "batch pos hidden"] | None = None
) -> tuple[Float[Tensor, "batch pos hidden"], Float[Tensor, "batch pos outputs"]]:
    """Hidden states after each input, from h_0 = 0, and the outputs read from them (section 2.1).

    `noise` is added to the state after each step: a network trained with it keeps its states apart.
    """
    last = max(name for name in weights if name.startswith("f.") and name.endswith(".bias"))
    h = x.new_zeros((x.shape[0], weights[last].shape[0]))
    states = []
    for t in range(x.shape[1]):
        h = mlp(weights, "f", torch.cat([h, x[:, t]], dim=-1))
        if noise is not None:
            h = h + noise[:, t]
        states.append(h)
    hidden = torch.stack(states, dim=1)
    return hidden, mlp(weights, "g", hidden)


class MipsRnn:
    """A trained network behind `protocols.RecurrentModel`. Evaluated without gradients, in the weights' dtype."""

    def __init__(self, handle: Model, config: RnnConfig, weights: Weights) -> None:
        self.handle, self.weights = handle, dict(weights)
        self.task, self.hidden, self.inputs, self.outputs = config.task, config.hidden, config.inputs, config.outputs
        self.low, self.high, self.length = config.low, config.high, config.length

    @torch.no_grad()
    def step(self, h: Float[Tensor, "batch hidden"], x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch hidden"]:
        return mlp(self.weights, "f", torch.cat([self._placed(h), self._placed(x)], dim=-1))

    @torch.no_grad()
    def readout(self, h: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch outputs"]:
        return mlp(self.weights, "g", self._placed(h))

    @torch.no_grad()
    def run(
        self, x: Float[Tensor, "batch pos inputs"]
    ) -> tuple[Float[Tensor, "batch pos hidden"], Float[Tensor, "batch pos outputs"]]:
        return unroll(self.weights, self._placed(x))

    def _placed(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        some = next(iter(self.weights.values()))
        return values.to(device=some.device, dtype=some.dtype)


def load_rnn(
    weights_path: Path,
    config: dict[str, Any],
    *,
    source: str = "",
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> MipsRnn:
    """The network in a .safetensors file, with its configuration (the .json beside it, as a dictionary).

    CallError when the configuration lacks something, the file is no safetensors file, or tensors are missing, left over
    or of another shape than the configuration says: every such tensor is named in the one error.
    """
    try:
        shape = msgspec.convert(config, RnnConfig)
    except msgspec.ValidationError as error:
        raise CallError(
            f"the configuration is not that of an RNN ({error})",
            str(weights_path.with_suffix(".json")),
            "give hidden, inputs, outputs and the hidden widths f and g",
        ) from None
    try:
        data = weights_path.read_bytes()
        weights = load_file(weights_path)
    except OSError as error:
        raise CallError(f"cannot be read ({error.strerror})", str(weights_path)) from None
    except SafetensorError as error:
        raise CallError(
            f"is not a safetensors file ({error})", str(weights_path), "save the weights with safetensors"
        ) from None
    check_tensors(weights, shape, str(weights_path))
    weights = {name: tensor.to(device=device, dtype=dtype) for name, tensor in weights.items()}
    handle = rnn_handle(
        shape,
        title=f"RNN {shape.task}".rstrip(),
        source=source or str(weights_path),
        sha256=hashlib.sha256(data).hexdigest(),
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
    )
    return MipsRnn(handle, shape, weights)


def rnn_handle(config: RnnConfig, *, title: str, source: str, sha256: str, device: str, dtype: str) -> Model:
    """The handle of a network of that shape."""
    parameters = sum(math.prod(shape) for shape in config.shapes().values())
    return Model(
        title=title,
        summary=f"{config.hidden} hidden, {config.inputs} in, {config.outputs} out; f {_widths(config.f)}, "
        f"g {_widths(config.g)}; {parameters:,} parameters",
        source=source,
        family="rnn",
        architecture="mips-rnn",
        sha256=sha256,
        config=msgspec.json.decode(msgspec.json.encode(config)),  # lists, as they come back from a file
        parameters=parameters,
        device=device,
        dtype=dtype,
        bytes_needed=parameters * getattr(torch, dtype).itemsize,
    )


def _widths(widths: tuple[int, ...]) -> str:
    return "one affine map" if not widths else "with hidden width " + "+".join(map(str, widths))


def check_tensors(weights: Weights, config: RnnConfig, where: str) -> None:
    """CallError that names every tensor which is missing, left over or of another shape than the configuration says."""
    expected = config.shapes()
    wrong = [f"{name} is missing" for name in expected if name not in weights]
    wrong += [f"{name} is not part of this network" for name in weights if name not in expected]
    wrong += [
        f"{name} is {tuple(weights[name].shape)}, not {size}"
        for name, size in expected.items()
        if name in weights and tuple(weights[name].shape) != size
    ]
    if wrong:
        raise CallError("; ".join(wrong), where, "the weights and the configuration do not belong together")
