"""From a source to a model, and everything a person can get wrong on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.models import forecast, sources
from engine.models.loading import available_models, load_model, reload
from engine.models.protocols import Tokenizer
from engine.models.rnn import MipsRnn
from engine.models.sources import find_source, zoo_sources
from engine.models.transformer import Transformer
from sessions.artifacts import WeightProcessing
from sessions.errors import CallError, IwbError
from tests.engine.models import reference
from tests.engine.models.conftest import save_model, small_config

CONFIG = small_config(d_vocab=10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return save_model(tmp_path / "mine.safetensors", CONFIG, seed=3)


def loaded(source: str | Path, **settings: str) -> Transformer:
    model = load_model(str(source), **settings)  # type: ignore[arg-type]
    assert isinstance(model, Transformer)
    return model


def test_a_file_is_loaded_with_its_handle_filled_in(file: Path) -> None:
    model = loaded(file, device="cpu")
    handle = model.handle
    assert (handle.source, handle.family, handle.architecture, handle.device) == (
        str(file),
        "transformer",
        "test",
        "cpu",
    )
    assert handle.parameters == sum(tensor.numel() for tensor in load_file(file).values())
    assert handle.config["n_layers"] == 3
    assert handle.title == "mine"
    assert 0 < handle.parameters * 4 < handle.bytes_needed < handle.bytes_free
    assert len(handle.sha256) == 64
    assert "3 layers x 4 heads" in handle.summary
    assert model.tokenizer.encode("Mary gave") == [1, 3]
    tokens = torch.tensor([[1, 3, 2]])
    found = model.unembed(model.forward(tokens).resid_pre[-1])[0]
    expected = reference.logits(CONFIG, load_file(file), [1, 3, 2]).float()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)  # float32 against float64, over three layers


def test_the_model_outlives_its_file(file: Path) -> None:
    model = loaded(file)
    before = model.forward(torch.tensor([[1, 2]])).resid_pre.clone()
    file.write_bytes(bytes(file.stat().st_size))
    assert torch.equal(model.forward(torch.tensor([[1, 2]])).resid_pre, before)


def test_lower_precision_halves_the_memory(file: Path) -> None:
    single, half = loaded(file), loaded(file, dtype="bfloat16")
    assert half.handle.dtype == "bfloat16"
    assert half.weights.embed.dtype == torch.bfloat16
    assert half.handle.bytes_needed * 2 == single.handle.bytes_needed


def test_a_handle_finds_its_model_again(file: Path) -> None:
    model = loaded(file, device="cpu")
    again = reload(model.handle)
    assert again.handle.sha256 == model.handle.sha256
    assert isinstance(again, Transformer)
    assert torch.equal(again.weights.embed, model.weights.embed)


def test_a_handle_of_another_machine_is_loaded_on_this_ones_device(file: Path) -> None:
    import msgspec

    elsewhere = msgspec.structs.replace(loaded(file, device="cpu").handle, device="cuda:7")
    assert reload(elsewhere).handle.device in ("cpu", "cuda", "mps")


def test_other_weights_under_the_same_name_are_noticed(file: Path) -> None:
    handle = loaded(file).handle
    save_model(file, CONFIG, seed=4)
    with pytest.raises(IwbError, match="not those of the recorded model"):
        reload(handle)


def test_another_configuration_is_noticed(file: Path) -> None:
    handle = loaded(file).handle
    save_model(file, CONFIG, seed=3, eps=1e-3)
    with pytest.raises(IwbError, match="configuration has changed"):
        reload(handle)


def test_a_field_that_a_newer_iwb_added_is_no_change(file: Path) -> None:
    import msgspec

    handle = loaded(file).handle
    older = {name: value for name, value in handle.config.items() if name != "rotary_scaling"}
    assert reload(msgspec.structs.replace(handle, config=older)).handle.sha256 == handle.sha256


def test_weights_that_do_not_fit_are_named(file: Path) -> None:
    state = load_file(file)
    state["blocks.0.attn.W_Q"] = torch.zeros(4, 16, 7)
    del state["blocks.1.mlp.W_in"]
    save_file(state, file)
    with pytest.raises(CallError) as caught:
        load_model(str(file))
    assert "missing: blocks.1.mlp.W_in" in str(caught.value)
    assert "blocks.0.attn.W_Q is [4 16 7], expected [4 16 6]" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_layer": 2}, "unknown field 'n_layer'; did you mean 'n_layers'"),
        ({"n_heads": "four"}, r"not that of a transformer \(.*n_heads"),
        ({"normalization": "batch"}, r"not that of a transformer \(.*normalization"),
        ({"family": "cnn"}, "unknown family 'cnn'"),
        ({"tokenizer": None}, "describes no tokenizer"),
        ({"act_fn": "swish"}, "activation 'swish' is not supported"),
    ],
)
def test_a_configuration_that_is_wrong_is_told(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    path = save_model(tmp_path / "a.safetensors", CONFIG, **changes)
    with pytest.raises(CallError, match=said):
        load_model(str(path))


def test_a_configuration_that_is_missing_or_no_json_is_told(file: Path) -> None:
    file.with_suffix(".json").write_text("{")
    with pytest.raises(CallError, match="configuration cannot be read"):
        load_model(str(file))
    file.with_suffix(".json").write_text("[1]")
    with pytest.raises(CallError, match="not a JSON object"):
        load_model(str(file))
    file.with_suffix(".json").unlink()
    with pytest.raises(CallError, match=r"configuration mine\.json is missing; put it beside the weights"):
        load_model(str(file))


def test_a_model_too_big_for_memory_is_refused_before_its_weights_are_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "free_memory", lambda device: 5000)
    monkeypatch.setattr("safetensors.torch.load_file", lambda path: pytest.fail("the weights were read"))
    with pytest.raises(CallError, match=r"needs [\d.]+ KiB and 4\.9 KiB are free on cpu; load it as bfloat16"):
        load_model(str(file), device="cpu")


def test_memory_that_runs_out_after_all_is_one_sentence(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes")

    monkeypatch.setattr("engine.models.transformer.arrange", exhausted)
    with pytest.raises(IwbError, match=r"memory ran out while the model was loaded; .* are free on cpu"):
        load_model(str(file), device="cpu")


def test_processing_keeps_probabilities_and_is_recorded(file: Path) -> None:
    flags = WeightProcessing(fold_ln=True, center_writing_weights=True, center_unembed=True, fold_value_biases=True)
    plain = loaded(file)
    model = load_model(str(file), processing=flags)
    assert isinstance(model, Transformer)
    assert model.handle.processing == flags
    tokens = torch.tensor([[1, 3, 2, 7]])
    before, after = (m.unembed(m.forward(tokens).resid_pre[-1]) for m in (plain, model))
    # The rewriting is exact algebra; float32 rounding remains.
    torch.testing.assert_close(after.log_softmax(-1), before.log_softmax(-1), rtol=1e-4, atol=1e-4)
    # And each flag did what it says: mean-free logits and residual stream, no value bias left.
    assert float(after.mean(-1).abs().max()) < 1e-5
    assert float(model.forward(tokens).resid_pre.mean(-1).abs().max()) < 1e-5
    value_bias = model.weights.blocks[0].b_qkv
    assert value_bias is not None
    assert float(value_bias[2 * 4 * 6 :].abs().max()) == 0.0
    assert float((plain.weights.blocks[0].b_qkv[2 * 4 * 6 :]).abs().max()) > 0.0  # type: ignore[index]


@pytest.mark.parametrize(
    ("config", "flags", "said"),
    [
        ({"normalization": "RMS"}, {"center_writing_weights": True}, "needs LayerNorm"),
        ({"normalization": "none"}, {"fold_ln": True}, "this model has none"),
    ],
)
def test_processing_without_meaning_is_refused(
    tmp_path: Path, config: dict[str, object], flags: dict[str, bool], said: str
) -> None:
    path = save_model(tmp_path / "a.safetensors", small_config(d_vocab=10, **config))
    with pytest.raises(CallError, match=said):
        load_model(str(path), processing=WeightProcessing(**flags))


def test_grouped_and_attention_only_models_are_processed_too(tmp_path: Path) -> None:
    flags = WeightProcessing(fold_ln=True, center_unembed=True, fold_value_biases=True)
    tokens = torch.tensor([[1, 3, 2, 7]])
    for name, changes in {
        "grouped": {"n_kv_heads": 2, "normalization": "RMS", "gated_mlp": True, "act_fn": "silu"},
        "attention": {"d_mlp": 0},
    }.items():
        path = save_model(tmp_path / f"{name}.safetensors", small_config(d_vocab=10, **changes))
        before, after = (
            m.unembed(m.forward(tokens).resid_pre[-1]).log_softmax(-1)
            for m in (loaded(path), load_model(str(path), processing=flags))
            if isinstance(m, Transformer)
        )
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zoo:tp", "'zoo:tp' is not bundled; did you mean 'zoo:tpp'"),
        ("zoo:rnn/parity_all", "did you mean 'zoo:rnn/Parity_All'"),
        ("", "no model was named"),
        ("two words", "neither bundled, nor here, nor a Hugging Face name"),
        ("./none.safetensors", "there is no file or folder"),
        ("weights.pt", "there is no file or folder 'weights.pt'"),
    ],
)
def test_a_source_that_is_none_is_told(text: str, said: str) -> None:
    with pytest.raises(CallError, match=said):
        load_model(text)


def test_the_nearest_file_is_suggested(file: Path) -> None:
    with pytest.raises(CallError, match=r"did you mean 'mine\.safetensors'"):
        load_model(str(file.with_name("mien.safetensors")))
    with pytest.raises(CallError, match=r"the folder has neither config\.json"):
        load_model(str(file.parent))


def test_hugging_face_names_are_recognised() -> None:
    assert find_source("EleutherAI/pythia-70m").kind == "hub"
    assert find_source("gpt2").kind == "hub"


def test_every_bundled_model_loads_and_runs() -> None:
    assert {"zoo:tpp", "zoo:induction", "zoo:rnn/Binary_Addition"} <= set(zoo_sources())
    for source in zoo_sources():
        model = load_model(source, device="cpu")
        if isinstance(model, MipsRnn):
            assert model.run(torch.zeros(1, 4, model.inputs))[1].shape == (1, 4, model.outputs)
            continue
        assert isinstance(model, Transformer)
        assert isinstance(model.tokenizer, Tokenizer)
        tokens = torch.tensor([[model.tokenizer.bos_id or 0, 1, 2]])
        assert bool(model.unembed(model.forward(tokens).resid_pre[-1]).isfinite().all())


def test_what_is_available_is_told_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "models--EleutherAI--pythia-70m" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_bytes(b"")
    (tmp_path / "models--half--fetched" / "snapshots" / "abc").mkdir(parents=True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    models = available_models()
    assert [m["source"] for m in models] == [*zoo_sources(), "EleutherAI/pythia-70m"]
    json.dumps(models)
    assert all(m["parameters"] > 0 and m["summary"] for m in models if m["bundled"])
    assert sources.hub_cache() == ("EleutherAI/pythia-70m",)


def test_bundled_models_cost_no_heavy_import() -> None:
    code = """
import sys
from engine.models.loading import available_models, load_model
available_models()
assert 'torch' not in sys.modules, 'torch for a listing'
load_model('zoo:tpp', device='cpu'); load_model('zoo:rnn/Parity_All', device='cpu')
heavy = [m for m in ('transformer_lens', 'transformers', 'huggingface_hub') if m in sys.modules]
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_gpu_computes_what_the_cpu_does(dtype: str) -> None:
    here, there = loaded("zoo:tpp", device="cpu"), loaded("zoo:tpp", device="cuda", dtype=dtype)
    tokens = torch.randint(1, here.config.d_vocab, (4, 12), generator=torch.Generator().manual_seed(0))
    at = torch.full((4, 1), 11)
    results = []
    for model in (here, there):
        cache = model.forward(tokens)
        final = model.run_from(1, cache.resid_pre[1], at=at)
        results.append(model.unembed(final, torch.arange(20)).float().cpu())
    spread = float(results[0].std())
    # TF32 is off by default, so float32 differs by rounding alone; bfloat16 keeps eight bits.
    assert float((results[1] - results[0]).abs().max()) < (1e-3 if dtype == "float32" else 0.2) * spread
