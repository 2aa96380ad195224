"""Which Hugging Face checkpoints our runtime can represent, told from their config.json, before anything is read."""

from __future__ import annotations

from typing import Any

from engine.models.protocols import RotaryScaling
from sessions.errors import CallError

SUPPORTED = "GPT-2, Llama, Pythia (GPT-NeoX), GPT-J, Mistral, Qwen2 and OPT are supported"


def refuse_unsupported(config: dict[str, Any], where: str) -> None:
    """CallError that names what in this architecture has no counterpart here."""
    names = config.get("architectures") or ["an unnamed architecture"]
    name = str(names[0])
    obstacle = _obstacle(config, name)
    if obstacle:
        raise CallError(f"{name} is not supported: it has {obstacle}", where, SUPPORTED)


def _obstacle(config: dict[str, Any], name: str) -> str:
    def has(*fields: str) -> bool:
        return any(config.get(field) not in (None, False, 0, 0.0) for field in fields)

    kind = str(config.get("model_type", ""))
    if config.get("is_encoder_decoder") or not name.endswith(("ForCausalLM", "LMHeadModel")):
        return "no decoder-only language model in it"
    if max((int(config.get(f) or 0) for f in ("num_local_experts", "num_experts", "n_routed_experts")), default=0) > 1:
        return "a mixture of experts"
    if kind == "bloom" or has("alibi") or (config.get("attn_config") or {}).get("alibi"):
        return "ALiBi positions"
    if has("attn_logit_softcapping", "final_logit_softcapping"):
        return "soft-capped logits"
    if kind.startswith(("gemma2", "gemma3", "olmo2", "olmo3")):
        return "norms after its sub-layers"
    if kind in ("qwen3", "gemma3_text", "olmoe") or has("use_qk_norm", "qk_layernorm", "qk_norm"):
        return "normalised queries and keys"
    if has("clip_qkv"):
        return "clipped queries, keys and values"
    if has("quantization_config"):
        return "quantised weights"
    if has("scale_attn_by_inverse_layer_idx"):
        return "attention scores scaled by layer"
    if kind == "llama" and has("attention_bias", "mlp_bias"):
        return "biases that Llama does not have, and the converter would drop"
    if kind == "opt" and (
        config.get("word_embed_proj_dim") != config.get("hidden_size") or config.get("do_layer_norm_before") is False
    ):
        return "projected embeddings or norms after its sub-layers"
    if "auto_map" in config and kind not in ("gpt2", "llama", "gpt_neox"):
        return "code of its own, which is never run"
    scaling = rope_type(config)
    return "" if scaling in ("default", "llama3") else f"{scaling} scaling of its rotary positions"


def rope_parameters(config: dict[str, Any]) -> dict[str, Any]:
    """The rotary settings, from where transformers 5 writes them or earlier versions did."""
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return dict(found) if isinstance(found, dict) else {}


def rope_type(config: dict[str, Any]) -> str:
    settings = rope_parameters(config)
    return str(settings.get("rope_type") or settings.get("type") or "default")


def rotary_base(config: dict[str, Any]) -> float:
    return float(
        rope_parameters(config).get("rope_theta") or config.get("rope_theta") or config.get("rotary_emb_base") or 1e4
    )


def rotary_scaling(config: dict[str, Any]) -> RotaryScaling | None:
    """Llama 3's frequency scaling, if the checkpoint uses it."""
    if rope_type(config) != "llama3":
        return None
    settings = rope_parameters(config)
    return RotaryScaling(
        factor=float(settings.get("factor", 1.0)),
        low=float(settings.get("low_freq_factor", 1.0)),
        high=float(settings.get("high_freq_factor", 4.0)),
        original_ctx=int(settings.get("original_max_position_embeddings", config.get("max_position_embeddings", 8192))),
    )


def window(config: dict[str, Any]) -> int | None:
    """The length up to which attention is not limited by a sliding window; None without one. Within it, sliding-window
    attention is full attention."""
    if config.get("use_sliding_window") is False:
        return None
    local = config.get("sliding_window") or (config.get("window_size") if "attention_types" in config else None)
    return int(local) if local else None
