"""Small random models of every make, in our runtime and in TransformerLens' (double precision there)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

from engine.models.protocols import TransformerConfig
from engine.models.transformer import Transformer
from engine.models.weights import random_state
from sessions.artifacts import Model, WeightProcessing

MAKES: dict[str, dict[str, Any]] = {
    "LN": {},
    "folded": {},
    "RMS": {"normalization": "RMS"},
    "none": {"normalization": "none"},
    "parallel": {"parallel_attn_mlp": True},
    "attention only": {"d_mlp": 0},
    "rotary": {"positions": "rotary", "rotary_dim": 4, "normalization": "RMS", "n_kv_heads": 2},
    "adjacent": {"positions": "rotary", "rotary_dim": 2, "rotary_adjacent_pairs": True},
}


class Ids:
    """Words t0, t1, ... are the ids 0, 1, ..."""

    name = "ids"
    bos_id = None

    def encode(self, text: str) -> list[int]:
        return [int(word[1:]) for word in text.split()]

    def decode(self, ids: list[int]) -> str:
        return " ".join(f"t{i}" for i in ids)

    def token_texts(self, ids: list[int]) -> list[str]:
        return [f"t{i}" for i in ids]


@dataclass
class Twins:
    """The same weights twice: ours in single precision (as in use), TransformerLens' in double."""

    ours: Transformer
    hooked: HookedTransformer


@functools.cache
def make(kind: str) -> Twins:
    shape: dict[str, Any] = {
        "n_layers": 3,
        "n_heads": 4,
        "d_model": 16,
        "d_head": 4,
        "d_mlp": 24,
        "d_vocab": 23,
        "n_ctx": 16,
    }
    config = TransformerConfig(architecture="random", **(shape | MAKES[kind]))
    state = {name: tensor.double() for name, tensor in random_state(config, 5, scale=0.35).items()}
    hooked = HookedTransformer(
        HookedTransformerConfig(
            **(shape | {"d_mlp": config.d_mlp or None}),
            attn_only=not config.d_mlp,
            act_fn="gelu_new",
            normalization_type=None if config.normalization == "none" else config.normalization,
            parallel_attn_mlp=config.parallel_attn_mlp,
            positional_embedding_type="rotary" if config.positions == "rotary" else "standard",
            rotary_dim=config.rotary_dim or None,
            rotary_adjacent_pairs=config.rotary_adjacent_pairs,
            n_key_value_heads=config.n_kv_heads or None,
            dtype=torch.float64,
            device="cpu",
        )
    )
    names = set(hooked.state_dict())
    theirs = {n if n in names else n.replace("attn.", "attn._"): tensor for n, tensor in state.items()}
    assert {n for n in names if not n.endswith(("mask", "IGNORE", "rotary_sin", "rotary_cos"))} == set(theirs)
    hooked.load_state_dict(theirs, strict=False)
    processing = WeightProcessing()
    if kind == "folded":
        hooked.process_weights_(center_writing_weights=False, center_unembed=False)
        state = {n: t for n, t in hooked.state_dict().items() if not n.endswith(("mask", "IGNORE"))}
        processing = WeightProcessing(fold_ln=True, fold_value_biases=True)
    handle = Model(title="random", source="random", family="transformer", architecture="random", processing=processing)
    return Twins(Transformer(config, state, Ids(), handle), hooked.eval())


@pytest.fixture(scope="session")
def twins() -> Callable[[str], Twins]:
    return make
