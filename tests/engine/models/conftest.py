"""Tiny models made on the spot, and a wall before the network."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from jaxtyping import install_import_hook
from safetensors.torch import save_file

with install_import_hook(
    ["engine.models.transformer", "engine.models.weights", "engine.models.rotary"], "beartype.beartype"
):
    from engine.models.transformer import Transformer
    from engine.models.weights import random_state

from engine.models.protocols import TransformerConfig
from engine.models.tokenizers import WordTokenizer
from sessions.artifacts import Model

WORDS = ["<bos>", "Mary", "John", "gave", "a", "drink", "to", "the", "store", "went"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError("a test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


def small_config(**changes: Any) -> TransformerConfig:
    sizes: dict[str, Any] = {
        "architecture": "test",
        "n_layers": 3,
        "n_heads": 4,
        "d_model": 16,
        "d_head": 6,
        "d_mlp": 20,
        "d_vocab": 11,
        "n_ctx": 12,
    }
    return TransformerConfig(**(sizes | changes))


def make(config: TransformerConfig, state: dict[str, torch.Tensor], dtype: torch.dtype = torch.float64) -> Transformer:
    handle = Model(title="test", source="test", family="transformer", architecture=config.architecture)
    return Transformer(config, state, WordTokenizer(WORDS), handle, dtype=dtype)


def without_biases(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.rpartition(".")[2].startswith("b_")}


def save_model(path: Path, config: TransformerConfig, seed: int = 0, **changes: Any) -> Path:
    """A .safetensors file with its configuration beside it, as a person would hand one in."""
    save_file(random_state(config, seed), path)
    tokenizer = {"type": "words", "vocab": WORDS[: config.d_vocab], "bos": "<bos>"}
    document = {"family": "transformer", **msgspec.to_builtins(config), "tokenizer": tokenizer} | changes
    path.with_suffix(".json").write_text(json.dumps(document))
    return path
