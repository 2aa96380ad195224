"""What can be told of a model before it is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.models import forecast
from engine.models.inspection import inspect_model, outline
from engine.models.loading import load_model
from sessions.artifacts import Table
from sessions.errors import CallError
from tests.engine.models.conftest import save_model, small_config

# As published with GPT-2 small and Llama 3.2 1B, with the fields that count.
GPT2 = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "n_positions": 1024,
    "vocab_size": 50257,
}
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 2048,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 8192,
    "max_position_embeddings": 131072,
    "vocab_size": 128256,
    "head_dim": 64,
}


def told(table: Table) -> dict[str, str]:
    return {str(name): str(value) for name, value in table.rows}


def test_a_file_is_told_from_its_header(tmp_path: Path) -> None:
    path = save_model(tmp_path / "mine.safetensors", small_config(d_vocab=10, d_mlp=0))
    seen = told(inspect_model(str(path), device="cpu"))
    handle = load_model(str(path), device="cpu").handle
    assert seen["parameters"] == f"{handle.parameters:,}"
    assert seen["shape"] == "3 layers x 4 heads, width 16, attention only"
    assert seen["fits"] == "yes"
    assert seen["device"] == "cpu"


def test_a_checkpoint_is_told_without_reading_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(GPT2))
    weights = {"wte.weight": np.zeros((50257, 8), np.float32), "h.0.attn.bias": np.zeros((1, 1, 64, 64), np.float32)}
    save_file(weights, tmp_path / "model.safetensors")
    table = inspect_model(str(tmp_path), device="cpu")
    seen = told(table)
    assert seen["architecture"] == "gpt2"
    assert seen["shape"] == "12 layers x 12 heads, width 768, MLP 3072"
    assert seen["parameters"] == f"{50257 * 8:,}"  # the causal mask is no parameter
    assert table.facts["fits"] is True


def test_what_does_not_fit_is_said_and_not_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_model(tmp_path / "mine.safetensors", small_config(d_vocab=10))
    monkeypatch.setattr(forecast, "free_memory", lambda device: 1000)
    table = inspect_model(str(path), device="cpu")
    assert told(table)["fits"] == "no"
    assert told(table)["memory free"] == "1000 B"
    assert table.facts["fits"] is False


def test_the_forecast_of_gpt2_small_is_near_what_it_takes() -> None:
    """163 million numbers with both embeddings, 4 bytes each: 652 MB, and under a third of that for one kept pass."""
    plan = forecast.forecast(outline(GPT2, ""), 163_037_184, device="cpu", dtype="float32")
    assert 652e6 < plan.needed < 1.33 * 652e6
    half = forecast.forecast(outline(GPT2, ""), 163_037_184, device="cpu", dtype="bfloat16")
    assert half.needed * 2 == plan.needed


def test_converting_a_checkpoint_needs_it_twice() -> None:
    once = forecast.forecast(outline(GPT2, ""), 10**8, device="cpu", dtype="float32")
    twice = forecast.forecast(outline(GPT2, ""), 10**8, device="cpu", dtype="float32", staged=1.0)
    assert twice.needed - once.needed == 4 * 10**8


def test_a_gpu_needs_main_memory_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"cuda": 10**12, "cpu": 10**8}
    monkeypatch.setattr(forecast, "free_memory", lambda device: free[device])
    plan = forecast.forecast(outline(GPT2, ""), 10**8, device="cuda", dtype="float32", staged=1.0)
    assert not plan.fits
    with pytest.raises(CallError, match=r"381 MiB and 95\.4 MiB are free on cpu, where the checkpoint is read first"):
        forecast.refuse_too_big(plan, "big")


def test_sizes_are_read_from_either_way_of_writing_them() -> None:
    llama = outline(LLAMA, "")
    assert (llama.n_layers, llama.n_heads, llama.n_kv_heads, llama.d_head, llama.d_mlp) == (16, 32, 8, 64, 8192)
    with pytest.raises(CallError, match="the configuration has no num_hidden_layers"):
        outline({name: value for name, value in LLAMA.items() if name != "num_hidden_layers"}, "x")


def test_what_loading_refuses_inspection_refuses(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | {"num_local_experts": 8}))
    with pytest.raises(CallError, match="a mixture of experts"):
        inspect_model(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CallError, match="only there as a pickle"):
        inspect_model(str(tmp_path))


def test_bundled_networks_of_both_kinds_are_told() -> None:
    assert told(inspect_model("zoo:tpp"))["fits"] == "yes"
    assert "hidden" in told(inspect_model("zoo:rnn/Parity_All"))["shape"]


def test_looking_costs_no_heavy_import() -> None:
    code = (
        "import sys; from engine.models.inspection import inspect_model; inspect_model('zoo:tpp');"
        "sys.exit(any(m in sys.modules for m in ('transformer_lens', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
