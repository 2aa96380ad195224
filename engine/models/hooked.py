"""Hugging Face checkpoints into our layout, by TransformerLens 3.9: the only place that knows that library.

Used of it: reading a checkpoint's configuration, converting its weights, and rewriting weights (`ProcessWeights`). Its
HookedTransformer is not built: version 4 drops it, and our runtime runs the same state dict. Every conversion is
checked on the spot against the checkpoint's own implementation in `transformers`.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor
from transformer_lens.config.hooked_transformer_config import HookedTransformerConfig
from transformer_lens.loading_from_pretrained import (
    get_pretrained_model_config,
    get_pretrained_state_dict,
    make_model_alias_map,
)
from transformer_lens.weight_processing import ProcessWeights
from transformers import PreTrainedModel

from engine.hardware import torch_dtype
from engine.models.checkpoints import file_hash, read_header, weight_files
from engine.models.families import refuse_unsupported, rotary_base, rotary_scaling, window
from engine.models.forecast import Forecast, forecast, refuse_too_big
from engine.models.hub import fetch, published_parameters
from engine.models.inspection import held_numbers, outline, stored_numbers
from engine.models.loading import make_handle
from engine.models.originals import original_model, original_tokenizer, quietly_offline, reason
from engine.models.protocols import TransformerConfig
from engine.models.sources import Source, read_config
from engine.models.transformer import ACTIVATIONS, Transformer
from engine.models.weights import expected_shapes
from sessions.artifacts import WeightProcessing
from sessions.errors import CallError, IwbError, nearest

_AS_TRAINED = WeightProcessing()
_PROBE = 16  # tokens on which a conversion is compared with the checkpoint's own implementation
# Largest accepted mean difference of log probabilities, in nats: rounding over many layers stays well below, while a
# wrong activation, position or scale is far above. bfloat16 keeps 8 bits, float16 11.
_TOLERANCE = {"float32": 1e-3, "float16": 0.1, "bfloat16": 0.5}


def load_checkpoint(source: Source, *, device: str, dtype: str, processing: WeightProcessing) -> Transformer:
    """The model of a Hugging Face name or checkpoint folder. A folder never causes a look at the network.

    Errors as `engine.models.loading.load_model`; in addition CallError for architectures that our runtime cannot
    represent, by name, and IwbError when the converted model does not compute what the checkpoint's own code does.
    """
    folder, revision = source.path, ""
    if source.kind == "hub":
        name = make_model_alias_map().get(source.text.lower(), source.text)
        folder = fetch(name, weights=False).folder
        config = read_config(folder / "config.json")
        refuse_unsupported(config, source.text)
        if not any(folder.glob("*.safetensors")):  # before gigabytes are fetched
            _plan(outline(config, source.text), published_parameters(name), source.text, device, dtype, processing)
        folder, revision = fetch(name)
    config = read_config(folder / "config.json")
    refuse_unsupported(config, source.text)
    files = weight_files(folder)
    headers = {name: tensor for file in files for name, tensor in read_header(file).items()}
    plan = _plan(outline(config, source.text), held_numbers(headers, config), source.text, device, dtype, processing)

    theirs_dtype = dtype if processing == _AS_TRAINED else "float32"  # folding in few bits would lose what it moves
    theirs = original_model(folder, source.text, torch_dtype(theirs_dtype))
    shape, state = _converted(source.text, config, theirs)
    if processing != _AS_TRAINED:
        state = process_weights(shape, state, processing, source.text)
    handle = make_handle(
        title=source.text.rstrip("/").rpartition("/")[2] or source.text,
        source=source.text,
        config=shape,
        parameters=stored_numbers(headers),
        sha256=file_hash(files),
        revision=revision,
        device=device,
        dtype=dtype,
        processing=processing,
        bytes_needed=plan.needed,
        bytes_free=plan.free,
    )
    tokenizer = original_tokenizer(folder, source.text, shape.d_vocab)
    model = Transformer(shape, state, tokenizer, handle, device=device, dtype=torch_dtype(dtype))
    del state
    _compare(model, theirs)
    return model


def process_weights(
    config: TransformerConfig, state: Mapping[str, Tensor], processing: WeightProcessing, where: str = ""
) -> dict[str, Tensor]:
    """The weights rewritten as the flags say, so that the model computes the same probabilities.

    `fold_ln`: norm gains and offsets into the weights that read them. `center_writing_weights`: what is written to the
    residual stream has mean zero (LayerNorm removes the mean anyway). `center_unembed`: logits have mean zero.
    `fold_value_biases`: value biases into b_O (attention sums to 1). CallError where a flag has no meaning.
    """
    if processing.center_writing_weights and config.normalization != "LN":
        raise CallError(
            "center_writing_weights needs LayerNorm, which removes the mean; this model's norm does not",
            where,
            "leave it off",
        )
    if processing.fold_ln and config.normalization == "none":
        raise CallError("fold_ln needs norms, and this model has none", where, "leave it off")
    # The library passes over what is missing, so biases a model was stored without are written out as zeros.
    full = {name: tensor.detach().float() for name, tensor in state.items()}
    like = full["embed.W_E"]
    for name, size in expected_shapes(config).items():
        if name.rpartition(".")[2].startswith("b_"):
            full.setdefault(_their_name(config, name), full.get(name, like.new_zeros(size)))
    full = {_their_name(config, name): tensor for name, tensor in full.items()}
    if processing.fold_ln and "ln_final.w" not in full:
        raise CallError("these weights have their norms folded already", where, "leave fold_ln off")
    done: dict[str, Tensor] = ProcessWeights.process_weights(
        full,
        _their_config(config),
        fold_ln=processing.fold_ln,
        center_writing_weights=processing.center_writing_weights,
        center_unembed=processing.center_unembed,
        fold_value_biases=processing.fold_value_biases,
    )
    return done


def _plan(
    shape: TransformerConfig, numbers: int, where: str, device: str, dtype: str, processing: WeightProcessing
) -> Forecast:
    copies = 1.0 if processing == _AS_TRAINED else 3.0  # the library clones the state dict for each rewriting
    plan = forecast(shape, numbers, device=device, dtype=dtype, staged=copies)
    refuse_too_big(plan, where)
    return plan


def _their_name(config: TransformerConfig, name: str) -> str:
    grouped = config.n_kv_heads not in (0, config.n_heads)
    head, _, last = name.rpartition(".")
    return f"{head}._{last}" if grouped and last in ("W_K", "W_V", "b_K", "b_V") else name


def _their_config(config: TransformerConfig) -> HookedTransformerConfig:
    c = config
    return HookedTransformerConfig(
        n_layers=c.n_layers,
        d_model=c.d_model,
        n_ctx=c.n_ctx,
        d_head=c.d_head,
        n_heads=c.n_heads,
        d_mlp=c.d_mlp or None,
        attn_only=not c.d_mlp,
        act_fn=c.act_fn if c.d_mlp else None,
        d_vocab=c.d_vocab,
        d_vocab_out=c.logits,
        attention_dir=c.attention,
        normalization_type={"LN": "LN", "RMS": "RMS", "none": None}[c.normalization],
        final_rms=c.normalization == "RMS",
        n_key_value_heads=c.n_kv_heads if c.n_kv_heads not in (0, c.n_heads) else None,
        gated_mlp=c.gated_mlp,
        parallel_attn_mlp=c.parallel_attn_mlp,
        positional_embedding_type={"learned": "standard", "rotary": "rotary", "none": "none"}[c.positions],
        rotary_dim=c.rotary_dim or None,
        rotary_base=c.rotary_base,
        rotary_adjacent_pairs=c.rotary_adjacent_pairs,
        eps=c.eps,
        attn_scale=c.attn_scale or math.sqrt(c.d_head),
        device="cpu",
    )


def _converted(
    where: str, config: dict[str, Any], theirs: PreTrainedModel
) -> tuple[TransformerConfig, dict[str, Tensor]]:
    """Our configuration, and the weights under HookedTransformer's names."""
    with quietly_offline(), tempfile.TemporaryDirectory(prefix="iwb-") as neutral:
        # TransformerLens guesses the family from words in the path ("llama", "gemma"), so it is shown another one.
        # It reads some numbers from fields that only older configurations have.
        if any(word in neutral.lower() for word in ("llama", "gemma")):
            raise IwbError(f"the folder for temporary files ({neutral}) has a model's name in it", where, "set TMPDIR")
        told = {"n_ctx": config["n_positions"], **config} if "n_positions" in config else config
        (Path(neutral) / "config.json").write_bytes(msgspec.json.encode(told))
        try:
            cfg = get_pretrained_model_config(neutral, device="cpu", dtype=theirs.dtype, local_files_only=True)
            if head := config.get("head_dim"):
                if cfg.rotary_dim == cfg.d_head:
                    cfg.rotary_dim = head
                cfg.d_head, cfg.attn_scale = head, math.sqrt(head)
            cfg.d_mlp = config.get("n_inner") or cfg.d_mlp
            state = get_pretrained_state_dict(neutral, cfg, theirs, dtype=theirs.dtype)
        except (NotImplementedError, ValueError, AttributeError, KeyError, TypeError) as error:
            name = (config.get("architectures") or ["this architecture"])[0]
            raise CallError(f"{name} cannot be converted ({reason(error)})", where) from None
    shape = _our_config(cfg, config, where)
    expected = expected_shapes(shape)
    # Masks and rotary tables follow from the configuration; zero biases of models without them cost time at every run.
    kept = {
        name: tensor
        for name, tensor in state.items()
        if name.replace("._", ".") in expected
        and not (name.rpartition(".")[2].lstrip("_").startswith("b_") and not tensor.any())
    }
    return shape, kept


def _our_config(cfg: HookedTransformerConfig, config: dict[str, Any], where: str) -> TransformerConfig:
    """Their configuration in our terms. CallError names what has no counterpart."""
    odd = [
        words
        for there, words in (
            (cfg.use_qk_norm, "normalised queries and keys"),
            (cfg.num_experts, "a mixture of experts"),
            (cfg.use_normalization_before_and_after, "norms after its sub-layers"),
            (cfg.attn_scores_soft_cap > 0 or cfg.output_logits_soft_cap > 0, "soft-capped logits"),
            (cfg.post_embedding_ln, "a norm after the embedding"),
            (cfg.use_attention_sinks, "attention sinks"),
            (cfg.use_yarn_rope or cfg.use_dynamic_ntk_rope or cfg.use_logn_attn, "scaled rotary positions"),
            (cfg.attention_dir != "causal", "attention to later tokens"),
            (cfg.positional_embedding_type not in ("standard", "rotary"), f"{cfg.positional_embedding_type} positions"),
            (cfg.normalization_type not in ("LN", "RMS"), f"{cfg.normalization_type} norms"),
        )
        if there
    ]
    if odd:
        raise CallError(f"{cfg.original_architecture} is not supported: it has {', '.join(odd)}", where)
    if cfg.act_fn not in ACTIVATIONS:
        raise CallError(f"activation '{cfg.act_fn}' is not supported", where, nearest(str(cfg.act_fn), ACTIVATIONS))
    rotary = cfg.positional_embedding_type == "rotary"
    limit = window(config)
    return TransformerConfig(
        architecture=str(config.get("model_type", cfg.original_architecture)),
        n_layers=cfg.n_layers,
        n_heads=cfg.n_heads,
        d_model=cfg.d_model,
        d_head=cfg.d_head,
        d_mlp=cfg.d_mlp or 0,
        d_vocab=cfg.d_vocab,
        n_ctx=min(cfg.n_ctx, limit) if limit else cfg.n_ctx,
        n_kv_heads=cfg.n_key_value_heads or 0,
        act_fn=cfg.act_fn,
        gated_mlp=cfg.gated_mlp,
        normalization="RMS" if cfg.normalization_type == "RMS" else "LN",
        eps=cfg.eps,
        positions="rotary" if rotary else "learned",
        rotary_dim=(cfg.rotary_dim or cfg.d_head) if rotary else 0,
        rotary_base=rotary_base(config) if rotary else 10000.0,
        rotary_adjacent_pairs=cfg.rotary_adjacent_pairs if rotary else False,
        rotary_scaling=rotary_scaling(config) if rotary else None,
        parallel_attn_mlp=cfg.parallel_attn_mlp,
        attn_scale=float(cfg.attn_scale) if cfg.use_attn_scale else 1.0,
    )


@torch.no_grad()
def _compare(model: Transformer, theirs: PreTrainedModel) -> None:
    """IwbError when the converted model's log probabilities differ from the checkpoint's own on random tokens."""
    c = model.config
    tokens = torch.randint(c.d_vocab, (1, min(_PROBE, c.n_ctx)), generator=torch.Generator().manual_seed(0))
    expected = theirs(tokens).logits.float().log_softmax(-1)
    final = model.forward(tokens.to(model.device)).resid_pre[-1]
    found = model.unembed(final).float().cpu().log_softmax(-1)
    difference = float((found - expected[..., : found.shape[-1]]).abs().mean())
    if not difference <= _TOLERANCE[model.handle.dtype]:
        raise IwbError(
            f"converted, it does not compute what the checkpoint does (log probabilities differ by {difference:.2g})",
            model.handle.source,
            "this variant of the architecture is not supported",
        )
