"""The weights of one head and of the unembedding as matrices that multiply from the right, x W, as papers write them.

With `folded`, what stands in a norm besides its scale is multiplied into the matrices that read from it: its gain, and
for LayerNorm the centring. It is what TransformerLens' `fold_ln` does, so on weights that were folded on loading it
changes nothing. The norm's own scale, 1 / sigma, depends on the input and is in no weight; nor are any biases here.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from engine.models.protocols import TransformerModel
from engine.models.weights import Norm, Weights
from sessions.components import HeadInput
from sessions.errors import CallError


class HeadWeights(NamedTuple):
    """In double precision, on the CPU. Grouped-query models: the keys and values that this head shares with others."""

    q: Float[Tensor, "d_model d_head"]
    k: Float[Tensor, "d_model d_head"]
    v: Float[Tensor, "d_model d_head"]
    o: Float[Tensor, "d_head d_model"]


def weights_of(model: TransformerModel) -> Weights:
    """All weights. CallError for a model that does not show them."""
    found = getattr(model, "weights", None)
    if not isinstance(found, Weights):
        raise CallError("the weights of this model cannot be read", model.handle.source, "use a model of this engine")
    return found


def head_weights(model: TransformerModel, layer: int, head: int, *, folded: bool = True) -> HeadWeights:
    """W_Q, W_K, W_V and W_O of a head."""
    block, width = weights_of(model).blocks[layer], model.config.d_head

    def reading(name: HeadInput) -> Tensor:
        weight = model.head_input_weight(layer, name, head).T.cpu().double()
        return fold(weight, block.ln1, model.config.normalization) if folded else weight

    written = block.w_o[:, head * width : (head + 1) * width].T.cpu().double()
    return HeadWeights(reading("q"), reading("k"), reading("v"), written)


def unembedding(model: TransformerModel, *, folded: bool = True) -> Float[Tensor, "d_model logit"]:
    """W_U in the model's precision, on the CPU; with `folded`, what the final norm does to it is in it."""
    weights = weights_of(model)
    plain = weights.unembed.T.cpu()
    return fold(plain, weights.ln_final, model.config.normalization) if folded else plain


def fold(weight: Float[Tensor, "d_model out"], norm: Norm, normalization: str) -> Float[Tensor, "d_model out"]:
    """The weight that reads the scaled input of a norm where `weight` reads its output: LayerNorm's output is
    w (x - mean x) / sigma + b, so the gain multiplies the rows, and centring x is centring the columns."""
    folded = weight if norm.w is None else weight * norm.w.to(weight.device, weight.dtype)[:, None]
    return folded - folded.mean(0) if normalization == "LN" else folded


__all__ = ["HeadWeights", "fold", "head_weights", "unembedding", "weights_of"]
