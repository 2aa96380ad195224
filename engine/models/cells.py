"""A recurrent network of any cell behind `protocols.RecurrentModel`: Elman, GRU and LSTM layers of torch, or an MLP.

The hidden state is one vector: the layers' hidden numbers from the first layer to the last, then an LSTM's cell numbers
in the same order. It starts at 0. Inputs are integers; they are fed as numbers, one-hot or through an embedding, as the
configuration says. Outputs are read from the last layer's hidden numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import linear, one_hot

from engine.models.protocols import RecurrentModel
from engine.models.rnn import MipsRnn, RnnConfig, mlp
from engine.models.rnn_configuration import CellConfig
from sessions.artifacts import Model
from sessions.errors import CallError

Weights = Mapping[str, Tensor]
MODULES: dict[str, Callable[..., torch.nn.RNNBase]] = {
    "elman": torch.nn.RNN,
    "gru": torch.nn.GRU,
    "lstm": torch.nn.LSTM,
}


class CellRnn:
    """Evaluated without gradients, in the weights' dtype. `tensors` has the names of torch's module (`weight_ih_l0`,
    ...) or f.0.weight, ...; `readout.0.weight`, ...; and `embedding.weight` where there is one."""

    def __init__(self, handle: Model, config: CellConfig, weights: Weights) -> None:
        self.handle, self.config, self.tensors = handle, config, dict(weights)
        self.task, self.hidden, self.inputs, self.outputs = config.task, config.state, config.inputs, config.outputs
        self.low, self.high, self.length = config.low, config.high, config.length
        self._some = next(iter(self.tensors.values()))
        self._cell = None if config.cell == "mlp" else _cell(config, self.tensors)

    @torch.no_grad()
    def step(self, h: Float[Tensor, "batch hidden"], x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch hidden"]:
        return self._after(self._placed(h), self._fed(x))

    @torch.no_grad()
    def logits(self, h: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch written"]:
        """What the readout's last layer gives, before any class is chosen."""
        width = self.config.hidden
        top = self._placed(h)[..., (self.config.layers - 1) * width : self.config.layers * width]
        return affine_layers(self.tensors, "g" if self._cell is None else "readout", top, self.config.activation)

    def readout(self, h: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch outputs"]:
        """The outputs: as regressed, to be rounded; or the largest logit's class; or 1 where a logit is above 0."""
        return self._meant(self.logits(h))

    @torch.no_grad()
    def run(
        self, x: Float[Tensor, "batch pos inputs"]
    ) -> tuple[Float[Tensor, "batch pos hidden"], Float[Tensor, "batch pos outputs"]]:
        fed = self._fed(x)
        h = self._some.new_zeros((len(x), self.hidden))
        states = []
        for t in range(x.shape[1]):
            h = self._after(h, fed[:, t])
            states.append(h)
        hidden = torch.stack(states, dim=1)
        return hidden, self.readout(hidden)

    def _after(self, h: Float[Tensor, "batch hidden"], fed: Float[Tensor, "batch width"]) -> Tensor:
        """The next hidden state."""
        if self._cell is None:
            return affine_layers(self.tensors, "f", torch.cat([h, fed], dim=-1), self.config.activation)
        # (batch, part * layer * hidden) -> parts of (layer, batch, hidden), as torch's modules take them
        parts = h.view(len(h), -1, self.config.layers, self.config.hidden).permute(1, 2, 0, 3).contiguous()
        state = (parts[0], parts[1]) if self.config.cell == "lstm" else parts[0]
        _, after = self._cell(fed[:, None], state)
        reached = torch.stack(after) if isinstance(after, tuple) else after[None]
        return reached.permute(2, 0, 1, 3).reshape(len(h), -1)

    def _fed(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch width"]:
        """Integers as the first layer reads them. CallError for one that has no code."""
        if self.config.coding == "numbers":
            return self._placed(x)
        ids: Int[Tensor, "*batch inputs"] = x.to(self._some.device).round().long()
        low = self.low if self.config.coding == "one-hot" else 0
        count = self.high - self.low + 1 if self.config.coding == "one-hot" else len(self.tensors["embedding.weight"])
        if ids.numel() and (int(ids.min()) < low or int(ids.max()) >= low + count):
            wrong = int(ids.min()) if int(ids.min()) < low else int(ids.max())
            raise CallError(
                f"the input {wrong} is outside {low}..{low + count - 1}, which the network knows",
                self.handle.title,
                "give inputs within that range",
            )
        if self.config.coding == "one-hot":
            return self._placed(one_hot(ids - low, count).flatten(-2))
        return self.tensors["embedding.weight"][ids].flatten(-2)

    def _meant(self, logits: Float[Tensor, "*batch written"]) -> Float[Tensor, "*batch outputs"]:
        if self.config.readout == "numbers":
            return logits
        if self.config.readout == "signs":
            return (logits > 0).to(logits.dtype)
        chosen = logits.reshape(*logits.shape[:-1], self.outputs, -1).argmax(dim=-1) + self.config.first_class
        return chosen.to(torch.float32)  # half precision does not hold every class

    def _placed(self, values: Tensor) -> Tensor:
        return values.to(device=self._some.device, dtype=self._some.dtype)


def affine_layers(
    weights: Weights, part: str, values: Float[Tensor, "*batch fan_in"], activation: str
) -> Float[Tensor, "*batch fan_out"]:
    """The layers `part.0`, `part.1`, ... with ReLU or tanh between them."""
    if activation == "relu":
        return mlp(weights, part, values)
    depth = sum(1 for name in weights if name.startswith(f"{part}.") and name.endswith(".weight"))
    for layer in range(depth):
        values = linear(values, weights[f"{part}.{layer}.weight"], weights[f"{part}.{layer}.bias"])
        if layer < depth - 1:
            values = values.tanh()
    return values


def _cell(config: CellConfig, weights: Weights) -> torch.nn.RNNBase:
    first = weights["weight_ih_l0"]
    settings: dict[str, Any] = {"nonlinearity": config.nonlinearity} if config.cell == "elman" else {}
    settings |= {"bias": "bias_ih_l0" in weights, "device": first.device, "dtype": first.dtype, "batch_first": True}
    module: torch.nn.RNNBase = MODULES[config.cell](first.shape[1], config.hidden, config.layers, **settings)
    module.load_state_dict({name: weights[name] for name in module.state_dict()})
    return module.eval()


def as_mips(model: RecurrentModel) -> MipsRnn | None:
    """The same network in the form h = f([h; x]), y = g(h), where it has one; None otherwise.

    One layer of an Elman network with ReLU is one: f is affine, ReLU, identity, with W_ih and W_hh side by side and the
    two biases added. Tanh and gates are not of that form, nor are coded inputs and logits.
    """
    if isinstance(model, MipsRnn):
        return model
    if not isinstance(model, CellRnn) or why_not_mips(model):
        return None
    config, weights = model.config, model.tensors
    n = config.hidden
    both = torch.cat([weights["weight_hh_l0"], weights["weight_ih_l0"]], dim=1)
    bias = weights["bias_ih_l0"] + weights["bias_hh_l0"] if "bias_ih_l0" in weights else both.new_zeros(n)
    tensors = {
        "f.0.weight": both,
        "f.0.bias": bias,
        "f.1.weight": torch.eye(n, dtype=both.dtype, device=both.device),
        "f.1.bias": both.new_zeros(n),
    }
    tensors |= {
        name.replace("readout.", "g.", 1): value for name, value in weights.items() if name.startswith("readout.")
    }
    shape = RnnConfig(f=(n,), **{name: getattr(config, name) for name in RnnConfig.__struct_fields__ if name != "f"})
    return MipsRnn(msgspec.structs.replace(model.handle, config=msgspec.to_builtins(shape)), shape, tensors)


def why_not_mips(model: RecurrentModel) -> str:
    """Why normal forms and the linear lattice do not apply to a network, in a sentence; empty where they do."""
    if isinstance(model, MipsRnn):
        return ""
    what = _differs(model.config) if isinstance(model, CellRnn) else "this one shows no weights"
    if not what:
        return ""
    return (
        f"normal forms and the linear lattice need h = f([h; x]) with ReLU layers and numbers in and out; {what}: "
        "the automaton and register routes apply"
    )


def _differs(config: CellConfig) -> str:
    """What keeps a network from the MIPS form."""
    what = ""
    if config.cell in ("gru", "lstm"):
        what = f"this is {'a GRU' if config.cell == 'gru' else 'an LSTM'}"
    elif config.cell == "elman" and (config.nonlinearity == "tanh" or config.layers > 1):
        layers = f", of {config.layers} layers" if config.layers > 1 else ""
        what = f"this is an Elman network with {config.nonlinearity}{layers}"
    elif config.activation != "relu" and (config.f or config.g):
        what = f"this one's layers are joined by {config.activation}"
    elif config.coding != "numbers":
        what = f"this one's inputs are {'one-hot' if config.coding == 'one-hot' else 'embedded'}"
    elif config.readout != "numbers":
        what = "this one's outputs are classes"
    return what
