"""Models in double precision, ours and TransformerLens', and patching done the slow way with the latter's hooks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens import HookedTransformer, HookedTransformerConfig

from engine.models.protocols import TransformerConfig
from engine.models.transformer import Transformer
from engine.models.weights import random_state
from engine.prompts.tokenized import TokenBatch
from sessions.artifacts import Model
from sessions.components import Component, Embed, Head, Mlp

torch.set_num_threads(1)

KINDS: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "parallel": {"parallel_attn_mlp": True},
    "attention only": {"d_mlp": 0},
    "bidirectional": {"attention": "bidirectional"},
    "grouped": {
        "n_kv_heads": 2,
        "act_fn": "silu",
        "gated_mlp": True,
        "normalization": "RMS",
        "positions": "rotary",
        "rotary_dim": 4,
    },
}


@dataclass
class Twin:
    """The same weights twice, in double precision."""

    ours: Transformer
    hooked: HookedTransformer

    @property
    def config(self) -> TransformerConfig:
        return self.ours.config


@cache
def make_twin(kind: str, n_layers: int = 3) -> Twin:
    sizes: dict[str, Any] = {"n_layers": n_layers, "n_heads": 4, "d_model": 16, "d_head": 4, "d_mlp": 24}
    config = TransformerConfig(architecture="random", d_vocab=23, n_ctx=16, **(sizes | KINDS[kind]))
    state = random_state(config, 11, scale=0.35)
    if config.gated_mlp:  # TransformerLens adds b_in after the gate, we before it (see `Transformer.mlp`)
        state |= {name: torch.zeros_like(value) for name, value in state.items() if name.endswith("mlp.b_in")}
    hooked = HookedTransformer(
        HookedTransformerConfig(
            n_layers=n_layers,
            n_heads=4,
            n_key_value_heads=config.n_kv_heads or None,
            d_model=16,
            d_head=4,
            d_mlp=config.d_mlp or None,
            attn_only=not config.d_mlp,
            d_vocab=23,
            n_ctx=16,
            act_fn=config.act_fn,
            gated_mlp=config.gated_mlp,
            normalization_type=config.normalization,
            final_rms=config.normalization == "RMS",
            positional_embedding_type="rotary" if config.positions == "rotary" else "standard",
            rotary_dim=config.rotary_dim or None,
            parallel_attn_mlp=config.parallel_attn_mlp,
            attention_dir=config.attention,
            dtype=torch.float64,
            device="cpu",
        )
    )
    shared = {
        ".attn.W_K": ".attn._W_K",
        ".attn.W_V": ".attn._W_V",
        ".attn.b_K": ".attn._b_K",
        ".attn.b_V": ".attn._b_V",
    }

    def theirs(name: str) -> str:
        end = name[name.rindex(".attn") :] if ".attn" in name else ""
        return name.removesuffix(end) + shared[end] if config.n_kv_heads and end in shared else name

    renamed = {theirs(name): value.double() for name, value in state.items()}
    own = {n for n in hooked.state_dict() if not n.endswith(("mask", "IGNORE", "rotary_sin", "rotary_cos"))}
    assert own == set(renamed)
    hooked.load_state_dict(renamed, strict=False)
    handle = Model(title="random", source="random", family="transformer", architecture="random")
    ours = Transformer(config, state, None, handle, dtype=torch.float64)  # type: ignore[arg-type]
    return Twin(ours, hooked.eval())


def measured(name: str, logits: Tensor, batch: TokenBatch) -> Tensor:
    """[example] the logit difference or the loss, from all logits, written out position by position."""
    found = []
    assert batch.foils is not None
    for row in range(len(logits)):
        values = []
        for at, answer, foil in zip(batch.at[row], batch.answers[row], batch.foils[row]):
            own = logits[row, at]
            values.append(own[answer] - own[foil] if name == "logit_diff" else -own.log_softmax(-1)[answer])
        found.append(torch.stack(values).mean())
    return torch.stack(found)


def _base_and_donor(batch: TokenBatch, direction: str) -> tuple[Tensor, Tensor]:
    assert batch.corrupt is not None
    return (batch.corrupt, batch.tokens) if direction == "denoising" else (batch.tokens, batch.corrupt)


@torch.no_grad()
def hooked_patch(
    twin: Twin, batch: TokenBatch, direction: str, site: str, layer: int, head: int, where: Tensor
) -> Tensor:
    """All logits of the base run with one activation of the other run pasted in at the positions true in `where`
    [example pos]: of a pattern, at those queries."""
    base, donor = _base_and_donor(batch, direction)
    name = f"blocks.{layer}." + (
        f"hook_{site}" if site in ("resid_pre", "attn_out", "mlp_out") else f"attn.hook_{site}"
    )
    _, other = twin.hooked.run_with_cache(donor, names_filter=name)
    c = twin.ours.config
    group = head * (c.n_kv_heads or c.n_heads) // c.n_heads if site in ("k", "v") else head

    def paste(value: Tensor, hook: Any) -> Tensor:
        for row, pos in where.nonzero().tolist():
            match site:
                case "resid_pre" | "attn_out" | "mlp_out":
                    value[row, pos] = other[name][row, pos]
                case "pattern":
                    value[row, head, pos] = other[name][row, head, pos]
                case _:
                    value[row, pos, group] = other[name][row, pos, group]
        return value

    if not (c.n_kv_heads and site in ("k", "v")):
        return twin.hooked.run_with_hooks(base, fwd_hooks=[(name, paste)])
    # TransformerLens patches the shared keys of a group: of that run only this head's z is kept
    z = f"blocks.{layer}.attn.hook_z"
    kept: dict[str, Tensor] = {}
    twin.hooked.run_with_hooks(base, fwd_hooks=[(name, paste), (z, lambda v, hook: kept.update(z=v.clone()))])

    def paste_z(value: Tensor, hook: Any) -> Tensor:
        value[:, :, head] = kept["z"][:, :, head]
        return value

    return twin.hooked.run_with_hooks(base, fwd_hooks=[(z, paste_z)])


@torch.no_grad()
def hooked_path(
    twin: Twin,
    batch: TokenBatch,
    senders: Collection[Component],
    receivers: Sequence[Component],
    mlps: str,
) -> Tensor:
    """All logits after path patching, in its three steps, each a whole hooked pass."""
    model, c = twin.hooked, twin.ours.config
    assert batch.corrupt is not None
    _, clean = model.run_with_cache(batch.tokens)
    _, corrupt = model.run_with_cache(batch.corrupt)
    recorded: dict[str, Tensor] = {}
    hooks: list[tuple[str, Callable[..., Any]]] = []

    def freeze_z(value: Tensor, hook: Any) -> Tensor:
        value[:] = clean[hook.name]
        for sender in senders:
            if isinstance(sender, Head) and hook.name == f"blocks.{sender.layer}.attn.hook_z":
                value[:, :, sender.head] = corrupt[hook.name][:, :, sender.head]
        return value

    def set_mlp(value: Tensor, hook: Any) -> Tensor:
        if any(isinstance(s, Mlp) and hook.name == f"blocks.{s.layer}.hook_mlp_out" for s in senders):
            return corrupt[hook.name].clone()
        return clean[hook.name].clone() if mlps == "frozen" else value

    def record(value: Tensor, hook: Any) -> None:
        recorded[hook.name] = value.clone()

    if Embed() in senders:
        hooks.append(("blocks.0.hook_resid_pre", lambda value, hook: corrupt[hook.name].clone()))
    last = f"blocks.{c.n_layers - 1}.hook_resid_post"
    read_by_mlps = "hook_resid_pre" if c.parallel_attn_mlp else "hook_resid_mid"
    for layer in range(c.n_layers):
        hooks.append((f"blocks.{layer}.attn.hook_z", freeze_z))
        if c.d_mlp:
            hooks.append((f"blocks.{layer}.hook_mlp_out", set_mlp))
            hooks.append((f"blocks.{layer}.{read_by_mlps}", record))
        hooks.extend((f"blocks.{layer}.attn.hook_{name}", record) for name in "qkv")
    hooks.append((last, record))
    model.run_with_hooks(batch.tokens, fwd_hooks=hooks)

    def set_input(value: Tensor, hook: Any) -> Tensor:
        for receiver in receivers:
            if isinstance(receiver, Head):
                for name in receiver.input or "qkv":
                    if hook.name == f"blocks.{receiver.layer}.attn.hook_{name}":
                        value[:, :, receiver.head] = recorded[hook.name][:, :, receiver.head]
        return value

    def mlp_from(layer: int) -> Callable[..., Tensor]:
        block = model.blocks[layer]
        read = recorded[f"blocks.{layer}.{read_by_mlps}"]
        return lambda value, hook: block.mlp(block.ln2(read))

    final: list[tuple[str, Callable[..., Any]]] = []
    for receiver in receivers:
        if isinstance(receiver, Mlp):
            final.append((f"blocks.{receiver.layer}.hook_mlp_out", mlp_from(receiver.layer)))
        elif not isinstance(receiver, Head):
            final.append((last, lambda value, hook: recorded[hook.name]))
    heads = [(f"blocks.{layer}.attn.hook_{name}", set_input) for layer in range(c.n_layers) for name in "qkv"]
    return model.run_with_hooks(batch.tokens, fwd_hooks=[*heads, *final])


@torch.no_grad()
def hooked_scores(twin: Twin, tokens: Tensor, head: Head, what: str) -> Tensor:
    """All logits with one head's pattern, or its scores, set to 0."""

    def cut(value: Tensor, hook: Any) -> Tensor:
        own = value[:, head.head]
        value[:, head.head] = torch.where(torch.isinf(own), own, 0.0)  # the mask stands as -inf among the scores
        return value

    name = f"blocks.{head.layer}.attn.hook_" + ("pattern" if what == "pattern" else "attn_scores")
    return twin.hooked.run_with_hooks(tokens, fwd_hooks=[(name, cut)])


@pytest.fixture
def twins() -> Callable[..., Twin]:
    return make_twin


@pytest.fixture
def slowly() -> Mapping[str, Callable[..., Any]]:
    """The hook-based definitions, and the metric of their logits."""
    return {"patch": hooked_patch, "path": hooked_path, "attention": hooked_scores, "metric": measured}
