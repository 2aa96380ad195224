"""A recurrent network as its affine pieces in float64: what the normal forms rewrite."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from engine.models.rnn import Weights

Array = Float[np.ndarray[Any, Any], "..."]


class Affine(NamedTuple):
    """v -> weight v + bias."""

    weight: Float[np.ndarray[Any, Any], "fan_out fan_in"]
    bias: Float[np.ndarray[Any, Any], " fan_out"]


class Network(NamedTuple):
    """h_t = f([h_{t-1}; x_t]), y_t = g(h_t), h_0 = 0; f and g are affine maps with a ReLU between them."""

    f: tuple[Affine, ...]
    g: tuple[Affine, ...]

    @property
    def hidden(self) -> int:
        return len(self.f[-1].bias)

    @property
    def inputs(self) -> int:
        return int(self.f[0].weight.shape[1]) - self.hidden

    @property
    def hidden_columns(self) -> Float[np.ndarray[Any, Any], "hidden hidden"]:
        """W: the hidden columns of f with all ReLUs removed (of f itself where it is affine)."""
        return _product(self.f)[:, : self.hidden]

    @property
    def input_columns(self) -> Float[np.ndarray[Any, Any], "hidden inputs"]:
        """V: the input columns of f with all ReLUs removed."""
        return _product(self.f)[:, self.hidden :]

    def run(
        self, x: Float[np.ndarray[Any, Any], "sequence pos inputs"]
    ) -> tuple[Float[np.ndarray[Any, Any], "sequence pos hidden"], Float[np.ndarray[Any, Any], "sequence pos outputs"]]:
        """Hidden states after each input and the raw outputs."""
        h = np.zeros((len(x), self.hidden))
        states = []
        for t in range(x.shape[1]):
            h = apply(self.f, np.concatenate([h, x[:, t]], axis=1))
            states.append(h)
        hidden = np.stack(states, axis=1)
        return hidden, apply(self.g, hidden)

    def finite(self, largest: float = np.inf) -> bool:
        """Whether every number is finite and no larger than that."""
        return all(bool((np.abs(part) <= largest).all()) for layer in (*self.f, *self.g) for part in layer)


def apply(layers: tuple[Affine, ...], values: Array) -> Array:
    """The layers one after the other, a ReLU between them and none at the end."""
    for k, (weight, bias) in enumerate(layers):
        values = (np.maximum(values, 0) if k else values) @ weight.T + bias
    return values


def network_of(weights: Weights) -> Network:
    """The pieces of `MipsRnn.weights` (`f.0.weight`, `f.0.bias`, ..., `g.0.weight`, ...)."""
    arrays = {name: tensor.detach().cpu().double().numpy().copy() for name, tensor in weights.items()}

    def layers(part: str) -> tuple[Affine, ...]:
        depth = sum(1 for name in arrays if name.startswith(f"{part}.") and name.endswith(".weight"))
        return tuple(Affine(arrays[f"{part}.{k}.weight"], arrays[f"{part}.{k}.bias"]) for k in range(depth))

    return Network(layers("f"), layers("g"))


def weights_of(network: Network) -> Mapping[str, Array]:
    """The same numbers under the names that `engine.models.stored_rnn.rnn_bytes` takes."""
    found: dict[str, Array] = {}
    for part, layers in (("f", network.f), ("g", network.g)):
        for k, layer in enumerate(layers):
            found |= {f"{part}.{k}.weight": layer.weight, f"{part}.{k}.bias": layer.bias}
    return found


def _product(layers: tuple[Affine, ...]) -> Array:
    return reduce(lambda done, layer: layer.weight @ done, layers[1:], layers[0].weight)
