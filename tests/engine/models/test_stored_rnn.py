"""A recurrent network kept in a session: the same network comes back, and what fits nothing is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.models.labelled import safetensors_bytes
from engine.models.loading import load_model
from engine.models.rnn import MipsRnn, RnnConfig, unroll
from engine.models.stored_rnn import read_rnn, rnn_bytes, stored_rnn, write_rnn
from engine.server.model_shelf import ModelShelf
from sessions.errors import CallError

from .test_rnn import random_weights

CONFIG = RnnConfig(hidden=3, inputs=2, outputs=2, f=(5,), g=(4,), task="Mine", low=-3, high=9, length=12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_a_step_kept_the_shelf_loads_again(dtype: torch.dtype) -> None:
    weights = {name: value.to(dtype) for name, value in random_weights(CONFIG).items()}
    data = rnn_bytes(CONFIG, weights)
    assert data == rnn_bytes(CONFIG, {name: value.numpy() for name, value in reversed(weights.items())})
    handle = stored_rnn(data, title="mine", source="session:abc", facts={"seed": 1})
    assert (handle.family, handle.parameters, handle.facts) == (
        "rnn",
        sum(w.numel() for w in weights.values()),
        {"seed": 1},
    )
    shelf = ModelShelf({"abc": data}.__getitem__)
    model = shelf.load(handle)
    assert isinstance(model, MipsRnn)
    assert shelf.load(handle) is model
    x = torch.randn((4, 6, 2), dtype=dtype)
    assert model.run(x)[1].equal(unroll(weights, x)[1])
    assert (model.task, model.low, model.high, model.length) == ("Mine", -3, 9, 12)


def test_written_into_a_folder_it_is_loaded_as_any_model(tmp_path: Path) -> None:
    weights = random_weights(CONFIG)
    path, _ = write_rnn(tmp_path / "out", rnn_bytes(CONFIG, weights))
    model = load_model(str(path), device="cpu")
    assert isinstance(model, MipsRnn)
    x = torch.randn((4, 6, 2))
    assert model.run(x)[1].equal(unroll(weights, x)[1])


def test_what_is_no_network_is_refused() -> None:
    weights = random_weights(CONFIG)
    with pytest.raises(CallError, match=r"g\.0\.bias is missing"):
        rnn_bytes(CONFIG, {name: value for name, value in weights.items() if name != "g.0.bias"})
    data = rnn_bytes(CONFIG, weights)
    for other in (data[:-4], b"", safetensors_bytes({"labels": "{}"}, {"a": np.zeros(1, dtype=np.float32)})):
        with pytest.raises(CallError, match="not the weights of a recurrent network"):
            read_rnn(other)
