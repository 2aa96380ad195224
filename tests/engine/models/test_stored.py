"""A trained model as files: loaded again it is the same model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.models.loading import load_model
from engine.models.stored import as_bytes, describe_tokenizer, encode_trained, is_compiled, write_trained
from engine.models.transformer import Transformer
from engine.models.weights import state_dict
from sessions.artifacts import WeightProcessing
from sessions.errors import CallError


@pytest.fixture(scope="module", params=["zoo:induction", "zoo:base"])
def model(request: pytest.FixtureRequest) -> Transformer:
    found = load_model(request.param)
    assert isinstance(found, Transformer)
    return found


def test_written_and_loaded_it_is_the_same_model(model: Transformer, tmp_path: Path) -> None:
    data = as_bytes(model, describe_tokenizer(model.tokenizer, model.handle))
    assert not is_compiled(data)
    weights, _ = write_trained(tmp_path / "out", data)
    again = load_model(str(weights))
    assert isinstance(again, Transformer)
    assert again.config == model.config
    tokens = torch.arange(1, 13)[None]
    assert again.unembed(again.forward(tokens).resid_pre[-1]).equal(model.unembed(model.forward(tokens).resid_pre[-1]))
    words = model.tokenizer.decode([5, 6, 7])
    assert again.tokenizer.encode(words) == model.tokenizer.encode(words)
    write_trained(tmp_path / "out", data)  # the same again is no conflict


def test_what_is_there_is_left_alone(model: Transformer, tmp_path: Path) -> None:
    data = as_bytes(model, describe_tokenizer(model.tokenizer, model.handle))
    (tmp_path / "weights.json").write_text("{}")
    with pytest.raises(CallError, match=r"another weights\.json"):
        write_trained(tmp_path, data)
    assert not (tmp_path / "weights.safetensors").exists()
    write_trained(tmp_path, data, overwrite=True)


def test_what_a_file_cannot_say_is_refused(model: Transformer, tmp_path: Path) -> None:
    state = state_dict(model.config, model.weights)
    tokenizer = describe_tokenizer(model.tokenizer, model.handle)
    with pytest.raises(CallError, match="tokenizer cannot be written"):
        write_trained(tmp_path, encode_trained(model.config, state, {"type": "source"}, WeightProcessing()))
    with pytest.raises(CallError, match="were processed"):
        write_trained(tmp_path, encode_trained(model.config, state, tokenizer, WeightProcessing(fold_ln=True)))
