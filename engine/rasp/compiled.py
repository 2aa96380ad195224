"""What the compiler makes: weights named as HookedTransformer names them, and what every direction and unit is for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from engine.rasp.functions import Value
from engine.rasp.language import SOp

Array = np.ndarray[Any, np.dtype[Any]]

BOS = "compiler_bos"
PAD = "compiler_pad"


@dataclass(frozen=True)
class Domain:
    """What inputs a program is compiled for."""

    vocab: tuple[Value, ...]
    max_len: int  # tokens, the beginning token not counted
    causal: bool = False


@dataclass(frozen=True)
class Construction:
    """How a program becomes weights. `repaired=False` builds what the original compiler built, errors and all (scores
    divided by sqrt(d_head), one exactness for all thresholds, padding not masked): for comparing with its models."""

    repaired: bool = True
    coldness: float = 100.0  # C: what a match adds to an attention score
    exactness: float | None = None  # L of every threshold; None: 2 / the gap between the values beside it


OURS = Construction()
TRACR = Construction(repaired=False, exactness=100.0)


class Head(NamedTuple):
    layer: int
    head: int


class Units(NamedTuple):
    """Hidden units `start` to `stop` (not included) of one MLP."""

    layer: int
    start: int
    stop: int


@dataclass(frozen=True)
class Variable:
    """One s-op in the residual stream: where it lives, who writes it, what it reads."""

    label: str
    op: Literal["Tokens", "Indices", "Map", "SequenceMap", "LinearSequenceMap", "Aggregate", "SelectorWidth"]
    encoding: Literal["categorical", "numerical"]
    values: tuple[Value, ...] | None  # sorted as its directions are; None: a numerical set nobody needed
    dims: tuple[int, ...]  # residual directions: one per value, or one in all
    reads: tuple[str, ...] = ()  # labels, in the order of the operation's arguments (keys, queries, values)
    head: Head | None = None
    units: Units | None = None
    attention_dim: int | None = None  # of a SelectorWidth: where its head writes 1/(d+1)
    node: SOp | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Compiled:
    """A program as a transformer without biases. `state` holds float32 arrays by HookedTransformer name:
    embed.W_E [d_vocab, d_model], pos_embed.W_pos [n_ctx, d_model], blocks.L.attn.W_Q/W_K/W_V [head, d_model, d_head],
    blocks.L.attn.W_O [head, d_head, d_model], blocks.L.mlp.W_in [d_model, d_mlp], blocks.L.mlp.W_out [d_mlp, d_model],
    unembed.W_U [d_model, outputs]; with `layer_norm`, the gains too.

    `tokens`: values by id (sorted as the original sorts them, BOS and PAD among them). `outputs`: values by logit, or
    None when the one logit is the number. `residual`: a name per direction, empty after a change of basis.
    """

    program: SOp
    domain: Domain
    construction: Construction
    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    attn_scale: float  # scores are divided by it: 1 in ours, sqrt(d_head) in the original
    state: dict[str, Array]
    tokens: tuple[Value, ...]
    bos: int
    pad: int
    outputs: tuple[Value, ...] | None
    residual: tuple[str, ...]
    variables: tuple[Variable, ...]
    masks_pad: bool
    layer_norm: bool = False
