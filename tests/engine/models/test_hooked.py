"""Hugging Face checkpoints made on the spot: our logits against transformers' own, and against HookedTransformer's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformer_lens import HookedTransformer

from engine.models import forecast, hooked
from engine.models.loading import load_model, reload
from engine.models.transformer import Transformer
from sessions.artifacts import WeightProcessing
from sessions.errors import CallError, IwbError
from tests.engine.models.test_hub import COMMIT, put
from tests.engine.models.test_tokenizers import byte_level, sentence_pieces

VOCAB = 320
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": VOCAB,
    "max_position_embeddings": 64,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
GPT2: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": VOCAB, "n_positions": 64}


def configurations() -> dict[str, Any]:
    t = transformers
    return {
        "gpt2": t.GPT2Config(**GPT2),
        "gpt2, narrow MLP": t.GPT2Config(**GPT2, n_inner=24),
        "llama": t.LlamaConfig(**SIZES),
        "llama, grouped": t.LlamaConfig(**SIZES, num_key_value_heads=2),
        "llama, wide heads": t.LlamaConfig(**SIZES, num_key_value_heads=2, head_dim=12),
        "llama 3": t.LlamaConfig(**SIZES, num_key_value_heads=1, rope_parameters=LLAMA3_ROPE),
        "pythia": t.GPTNeoXConfig(**SIZES),
        "neox, sequential": t.GPTNeoXConfig(**SIZES, use_parallel_residual=False),
        "neox, other base": t.GPTNeoXConfig(
            **SIZES, rope_parameters={"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5}
        ),
        "gpt-j": t.GPTJConfig(**GPT2, rotary_dim=4),
        "mistral": t.MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=None),
        "mistral, window": t.MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=24),
        "qwen2": t.Qwen2Config(**SIZES, num_key_value_heads=2),
        "opt": t.OPTConfig(**SIZES, ffn_dim=48, word_embed_proj_dim=32, activation_function="relu"),
    }


PROVEN = ["gpt2", "gpt2, narrow MLP", "llama", "llama, grouped", "llama, wide heads", "llama 3", "pythia"]
OTHERS = ["neox, sequential", "neox, other base", "gpt-j", "mistral", "mistral, window", "qwen2", "opt"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A checkpoint folder of that configuration, weights wide enough to matter, with a tokenizer."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            torch.manual_seed(0)
            model = transformers.AutoModelForCausalLM.from_config(configurations()[name])
            for parameter in model.parameters():
                parameter.data += 0.15 * torch.randn(parameter.shape)
            # The library that converts guesses families from such words in a path.
            folder = tmp_path_factory.mktemp("gemma-llama-bert") / name.replace(", ", "-")
            model.save_pretrained(folder)
            fast = transformers.PreTrainedTokenizerFast(tokenizer_object=byte_level(), bos_token="<|end|>")
            fast.save_pretrained(folder)
            made[name] = folder
        return made[name]

    return make


def tokens(length: int = 20) -> torch.Tensor:
    return torch.randint(VOCAB, (3, length), generator=torch.Generator().manual_seed(1))


def logits(model: Any, of: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = model.unembed(model.forward(of).resid_pre[-1])
    return found


@torch.no_grad()
def theirs(folder: Path, of: torch.Tensor) -> torch.Tensor:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    found: torch.Tensor = model(of).logits
    return found


@pytest.mark.parametrize("name", PROVEN + OTHERS)
def test_logits_are_those_of_transformers(name: str, checkpoint: Callable[[str], Path]) -> None:
    folder = checkpoint(name)
    model = load_model(str(folder), device="cpu")
    assert isinstance(model, Transformer)
    expected = theirs(folder, tokens())
    assert float(expected.std()) > 0.3  # weights that say something
    # float32 over two layers of sums of at most 48 products, on logits up to about ten.
    torch.testing.assert_close(logits(model, tokens()), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "llama, grouped", "pythia"])
@pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated")
def test_logits_and_patterns_are_those_of_hooked_transformer(name: str, checkpoint: Callable[[str], Path]) -> None:
    model = load_model(str(checkpoint(name)), device="cpu")
    assert isinstance(model, Transformer)
    hooked_model = HookedTransformer(hooked._their_config(model.config))
    own = transformers.AutoModelForCausalLM.from_pretrained(checkpoint(name), local_files_only=True)
    document = json.loads((checkpoint(name) / "config.json").read_text())
    _, state = hooked._converted("test", document, own)
    hooked_model.load_state_dict(hooked_model.fill_missing_keys(dict(state)), strict=False)
    for parameter, tensor in hooked_model.named_parameters():
        if parameter not in state:
            tensor.data.zero_()  # biases this family does not have
    expected, cache = hooked_model.run_with_cache(tokens())
    found = model.forward(tokens(), pattern=True)
    torch.testing.assert_close(logits(model, tokens()), expected, rtol=1e-4, atol=1e-4)
    for layer in range(2):
        torch.testing.assert_close(found.resid_pre[layer], cache["resid_pre", layer], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found.z[layer], cache["z", layer], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found.pattern[layer], cache["pattern", layer], rtol=1e-4, atol=1e-4)  # type: ignore[index]


@pytest.mark.parametrize("name", ["gpt2", "llama, grouped", "pythia"])
def test_processed_weights_keep_the_probabilities(name: str, checkpoint: Callable[[str], Path]) -> None:
    layer_norm = name != "llama, grouped"
    flags = WeightProcessing(
        fold_ln=True, center_writing_weights=layer_norm, center_unembed=True, fold_value_biases=True
    )
    model = load_model(str(checkpoint(name)), device="cpu", processing=flags)
    assert model.handle.processing == flags
    expected = theirs(checkpoint(name), tokens()).log_softmax(-1)
    torch.testing.assert_close(logits(model, tokens()).log_softmax(-1), expected, rtol=1e-3, atol=1e-3)
    assert float(logits(model, tokens()).mean(-1).abs().max()) < 1e-5


def test_the_handle_names_the_checkpoint(checkpoint: Callable[[str], Path]) -> None:
    folder = checkpoint("llama, grouped")
    model = load_model(str(folder), device="cpu")
    handle = model.handle
    assert handle.architecture == "llama"
    assert handle.config["n_kv_heads"] == 2
    assert handle.parameters == sum(tensor.numel() for tensor in load_file(folder / "model.safetensors").values())
    again = reload(handle)
    assert again.handle.sha256 == handle.sha256
    assert model.tokenizer.token_texts(model.tokenizer.encode("When Mary gave")) == ["When", " Mary", " gave"]  # type: ignore[union-attr]


def test_half_precision_stays_near(checkpoint: Callable[[str], Path]) -> None:
    model = load_model(str(checkpoint("pythia")), device="cpu", dtype="bfloat16")
    found = logits(model, tokens()).float()
    expected = theirs(checkpoint("pythia"), tokens())
    # bfloat16 keeps eight bits: a part in a hundred of logits whose spread is about one.
    assert float((found - expected).abs().mean()) < 0.05 * float(expected.std())


def test_a_checkpoint_in_several_files_is_one_model(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    whole = checkpoint("pythia")
    own = transformers.AutoModelForCausalLM.from_pretrained(whole, local_files_only=True)
    own.save_pretrained(tmp_path, max_shard_size="60KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    for file in whole.glob("tokenizer*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    model, expected = load_model(str(tmp_path), device="cpu"), load_model(str(whole), device="cpu")
    assert torch.equal(logits(model, tokens()), logits(expected, tokens()))
    assert model.handle.parameters == expected.handle.parameters


def test_a_sliding_window_limits_the_context_to_where_it_makes_no_difference(checkpoint: Callable[[str], Path]) -> None:
    folder = checkpoint("mistral, window")
    model = load_model(str(folder), device="cpu")
    assert isinstance(model, Transformer)
    assert model.config.n_ctx == 24
    torch.testing.assert_close(logits(model, tokens(24)), theirs(folder, tokens(24)), rtol=1e-4, atol=1e-4)
    with pytest.raises(CallError, match="25 tokens, and the context holds 24"):
        model.forward(tokens(25))


def test_llamas_own_kind_of_tokenizer_begins_every_prompt(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    for file in checkpoint("llama").iterdir():
        if not file.name.startswith("tokenizer"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=sentence_pieces(), bos_token="<s>")
    fast.save_pretrained(tmp_path)
    tokenizer = load_model(str(tmp_path), device="cpu").tokenizer  # type: ignore[union-attr]
    assert tokenizer.bos_id == 1
    assert tokenizer.token_texts(tokenizer.encode("Mary gave")) == [" Mary", " gave"]


def edited(folder: Path, target: Path, **changes: Any) -> Path:
    """A copy of a checkpoint with other fields in its config.json."""
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    document = json.loads((target / "config.json").read_text()) | changes
    (target / "config.json").write_text(json.dumps(document))
    return target


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("mistral", {"num_local_experts": 8}, "a mixture of experts"),
        ("gpt2", {"alibi": True}, "ALiBi positions"),
        ("llama", {"final_logit_softcapping": 30.0}, "soft-capped logits"),
        ("llama", {"attention_bias": True}, "biases that Llama does not have"),
        ("llama", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "yarn scaling of its rotary positions"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "attention scores scaled by layer"),
        ("gpt2", {"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}, "no decoder-only"),
        ("gpt2", {"architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2"}, "norms after its sub-layers"),
        ("gpt2", {"quantization_config": {"bits": 4}}, "quantised weights"),
    ],
)
def test_what_our_runtime_cannot_represent_is_refused_by_name(
    name: str, changes: dict[str, Any], said: str, checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(CallError, match=rf"is not supported: it has .*{said}.*GPT-2, Llama, Pythia"):
        load_model(str(edited(checkpoint(name), tmp_path, **changes)))


def test_a_conversion_that_computes_something_else_is_noticed(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooked, "rotary_base", lambda config: 50.0)
    with pytest.raises(IwbError, match="does not compute what the checkpoint does"):
        load_model(str(checkpoint("llama")))


def test_weights_that_do_not_fit_the_configuration_are_named(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = edited(checkpoint("llama"), tmp_path)
    state = load_file(folder / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"]
    state["model.norm.weight"] = torch.ones(31)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CallError) as caught:
        load_model(str(folder))
    assert "missing: model.layers.1.mlp.up_proj.weight" in str(caught.value)
    assert "model.norm.weight is [31], expected [32]" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_too_big_for_memory_is_refused_before_it_is_read(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "free_memory", lambda device: 100_000)
    monkeypatch.setattr(hooked, "original_model", lambda *_: pytest.fail("the weights were read"))
    with pytest.raises(CallError, match=r"needs \d+ KiB and 97\.7 KiB are free on cpu"):
        load_model(str(checkpoint("gpt2")), device="cpu")


def test_a_pickled_checkpoint_is_refused(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = edited(checkpoint("gpt2"), tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CallError, match="only there as a pickle"):
        load_model(str(folder))
    torch.save({"x": torch.ones(1)}, folder / "model.safetensors")
    with pytest.raises(CallError, match="was not loaded"):
        load_model(str(folder))


def test_a_checkpoint_without_a_tokenizer_is_told(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = edited(checkpoint("gpt2"), tmp_path)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(CallError, match=r"has no tokenizer; add its tokenizer\.json"):
        load_model(str(folder))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(CallError, match="tokenizer cannot be read"):
        load_model(str(folder))


def test_a_checkpoint_in_the_cache_is_loaded_by_its_name(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    snapshot = put(tmp_path, "org/tiny-llama", "config.json")
    edited(checkpoint("llama"), snapshot)
    handle = load_model("org/tiny-llama", device="cpu").handle
    assert (handle.source, handle.revision, handle.title) == ("org/tiny-llama", COMMIT, "tiny-llama")
    assert handle.sha256 == load_model(str(checkpoint("llama")), device="cpu").handle.sha256


def test_a_configuration_that_its_own_library_cannot_read_is_told(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(CallError, match="the checkpoint cannot be read"):
        load_model(str(edited(checkpoint("llama"), tmp_path, hidden_act="swoosh")))


def test_a_name_without_network_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        IwbError, match="'openai-community/gpt2' is not on this machine, and Hugging Face cannot be reached"
    ):
        load_model("openai-community/gpt2")
    with pytest.raises(IwbError, match="did you mean 'zoo:tpp'"):
        load_model("tpp")
