"""Tensors named as HookedTransformer's state dict, checked against a configuration and laid out for running."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from engine.models.protocols import TransformerConfig
from sessions.errors import CallError

# Buffers that HookedTransformer keeps among its weights. They follow from the configuration.
_BUFFERS = ("attn.mask", "attn.IGNORE", "attn.rotary_sin", "attn.rotary_cos", "attn.alibi")


class Norm(NamedTuple):
    """Gain and offset of a normalisation; None where they are folded into what reads it, or do not exist."""

    w: Float[Tensor, " d_model"] | None
    b: Float[Tensor, " d_model"] | None


class Mlp(NamedTuple):
    """Matrices are (out, in), the layout of `torch.nn.functional.linear`. `w_gate` only in gated MLPs."""

    w_in: Float[Tensor, "d_mlp d_model"]
    b_in: Float[Tensor, " d_mlp"] | None
    w_gate: Float[Tensor, "d_mlp d_model"] | None
    w_out: Float[Tensor, "d_model d_mlp"]
    b_out: Float[Tensor, " d_model"] | None


class Block(NamedTuple):
    """One layer. The rows of `w_qkv` are all queries, head by head, then all keys, then all values."""

    ln1: Norm
    w_qkv: Float[Tensor, "qkv d_model"]
    b_qkv: Float[Tensor, " qkv"] | None
    w_o: Float[Tensor, "d_model z"]
    b_o: Float[Tensor, " d_model"] | None
    ln2: Norm
    mlp: Mlp | None


class Weights(NamedTuple):
    embed: Float[Tensor, "d_vocab d_model"]
    positions: Float[Tensor, "n_ctx d_model"] | None
    blocks: tuple[Block, ...]
    ln_final: Norm
    unembed: Float[Tensor, "logit d_model"]
    b_unembed: Float[Tensor, " logit"] | None


def expected_shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor such a model can have, by its HookedTransformer name. Keys and values of grouped-query
    attention have `n_kv_heads` heads."""
    c = config
    kv = c.n_kv_heads or c.n_heads
    norm = {"LN": ("w", "b"), "RMS": ("w",), "none": ()}[c.normalization]
    shapes: dict[str, tuple[int, ...]] = {"embed.W_E": (c.d_vocab, c.d_model)}
    if c.positions == "learned":
        shapes["pos_embed.W_pos"] = (c.n_ctx, c.d_model)
    for layer in range(c.n_layers):
        block = {f"ln1.{part}": (c.d_model,) for part in norm} | {
            "attn.W_Q": (c.n_heads, c.d_model, c.d_head),
            "attn.W_K": (kv, c.d_model, c.d_head),
            "attn.W_V": (kv, c.d_model, c.d_head),
            "attn.W_O": (c.n_heads, c.d_head, c.d_model),
            "attn.b_Q": (c.n_heads, c.d_head),
            "attn.b_K": (kv, c.d_head),
            "attn.b_V": (kv, c.d_head),
            "attn.b_O": (c.d_model,),
        }
        if c.d_mlp:
            block |= {f"ln2.{part}": (c.d_model,) for part in norm} | {
                "mlp.W_in": (c.d_model, c.d_mlp),
                "mlp.b_in": (c.d_mlp,),
                "mlp.W_out": (c.d_mlp, c.d_model),
                "mlp.b_out": (c.d_model,),
            }
            if c.gated_mlp:
                block["mlp.W_gate"] = (c.d_model, c.d_mlp)
        shapes |= {f"blocks.{layer}.{name}": shape for name, shape in block.items()}
    shapes |= {f"ln_final.{part}": (c.d_model,) for part in norm}
    return shapes | {"unembed.W_U": (c.d_model, c.logits), "unembed.b_U": (c.logits,)}


def optional_tensors(config: TransformerConfig) -> dict[str, str]:
    """Tensors that may be missing, each with its group: a group is there as a whole or not at all. Biases go layer by
    layer kind; the gains and offsets of the norms go together, for they are folded into what reads them together."""
    groups: dict[str, str] = {}
    for name in expected_shapes(config):
        last = name.rpartition(".")[2]
        if name.split(".")[-2] in ("ln1", "ln2", "ln_final"):
            groups[name] = "norms"
        elif last.startswith("b_"):
            groups[name] = last
    return groups


def check_names_and_shapes(config: TransformerConfig, found: Mapping[str, tuple[int, ...]], where: str = "") -> None:
    """CallError, once, naming every tensor that is missing, unexpected or of another shape than `config` says."""
    expected, groups = expected_shapes(config), optional_tensors(config)
    names = {_plain_name(name): tuple(shape) for name, shape in found.items() if not name.endswith(_BUFFERS)}
    present = {groups[name] for name in names if name in groups}
    missing = [n for n in expected if n not in names and (n not in groups or groups[n] in present)]
    unexpected = [n for n in names if n not in expected]
    different = [
        f"{n} is {_shape(names[n])}, expected {_shape(expected[n])}"
        for n in expected
        if n in names and names[n] != expected[n]
    ]
    problems = [
        f"{title}: {_listed(items)}"
        for title, items in (("missing", missing), ("unexpected", unexpected), ("other shape", different))
        if items
    ]
    if problems:
        raise CallError(
            "the weights do not fit the configuration (" + "; ".join(problems) + ")",
            where,
            "give the configuration these weights were trained with",
        )


def arrange(
    config: TransformerConfig,
    state: Mapping[str, Tensor],
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    where: str = "",
) -> Weights:
    """The state dict as this runtime reads it, on `device` in `dtype`. CallError when it does not fit `config`."""
    check_names_and_shapes(config, {name: tuple(t.shape) for name, t in state.items()}, where)
    named = {_plain_name(name): tensor for name, tensor in state.items()}

    def get(name: str) -> Tensor:
        return named[name].detach().to(device=device, dtype=dtype)

    def own(tensor: Tensor) -> Tensor:
        """Contiguous, and never a view of the file it was read from, which may change under us."""
        return tensor.clone(memory_format=torch.contiguous_format)

    def maybe(name: str) -> Tensor | None:
        return own(get(name)) if name in named else None

    def norm(name: str) -> Norm:
        return Norm(maybe(f"{name}.w"), maybe(f"{name}.b"))

    def qkv(at: str) -> tuple[Tensor, Tensor | None]:
        weight = torch.cat([get(f"{at}.W_{x}").transpose(1, 2).flatten(0, 1) for x in "QKV"])
        if not any(f"{at}.b_{x}" in named for x in "QKV"):
            return weight, None
        parts = [(maybe(f"{at}.b_{x}"), get(f"{at}.W_{x}")) for x in "QKV"]
        bias = [w.new_zeros(w.shape[0] * w.shape[2]) if b is None else b.flatten() for b, w in parts]
        return weight, torch.cat(bias)

    def mlp(at: str) -> Mlp | None:
        if not config.d_mlp:
            return None
        gate = own(get(f"{at}.W_gate").T) if config.gated_mlp else None
        return Mlp(
            own(get(f"{at}.W_in").T),
            maybe(f"{at}.b_in"),
            gate,
            own(get(f"{at}.W_out").T),
            maybe(f"{at}.b_out"),
        )

    blocks = []
    for layer in range(config.n_layers):
        at = f"blocks.{layer}"
        w_qkv, b_qkv = qkv(f"{at}.attn")
        w_o = own(get(f"{at}.attn.W_O").flatten(0, 1).T)
        b_o = maybe(f"{at}.attn.b_O")
        blocks.append(Block(norm(f"{at}.ln1"), w_qkv, b_qkv, w_o, b_o, norm(f"{at}.ln2"), mlp(f"{at}.mlp")))
    return Weights(
        embed=own(get("embed.W_E")),
        positions=maybe("pos_embed.W_pos"),
        blocks=tuple(blocks),
        ln_final=norm("ln_final"),
        unembed=own(get("unembed.W_U").T),
        b_unembed=maybe("unembed.b_U"),
    )


def state_dict(config: TransformerConfig, weights: Weights) -> dict[str, Tensor]:
    """The weights under their HookedTransformer names again: what `arrange` was given, but for the shape of shared keys
    and values, and biases that were zero for want of any."""
    c = config
    kv = c.n_kv_heads or c.n_heads
    state = {"embed.W_E": weights.embed}
    if weights.positions is not None:
        state["pos_embed.W_pos"] = weights.positions
    for layer, block in enumerate(weights.blocks):
        at = f"blocks.{layer}"
        rows = torch.split(block.w_qkv, [c.n_heads * c.d_head, kv * c.d_head, kv * c.d_head])
        for x, part in zip("QKV", rows):
            state[f"{at}.attn.W_{x}"] = part.reshape(-1, c.d_head, c.d_model).transpose(1, 2)
        if block.b_qkv is not None:
            sizes = [c.n_heads * c.d_head, kv * c.d_head, kv * c.d_head]
            for x, part in zip("QKV", torch.split(block.b_qkv, sizes)):
                state[f"{at}.attn.b_{x}"] = part.reshape(-1, c.d_head)
        state[f"{at}.attn.W_O"] = block.w_o.T.reshape(c.n_heads, c.d_head, c.d_model)
        norms = {"ln1": block.ln1, "ln2": block.ln2} if block.mlp is not None else {"ln1": block.ln1}
        optional = {"attn.b_O": block.b_o} | _gains(norms)
        if block.mlp is not None:
            state[f"{at}.mlp.W_in"] = block.mlp.w_in.T
            state[f"{at}.mlp.W_out"] = block.mlp.w_out.T
            gate = block.mlp.w_gate
            optional |= {"mlp.b_in": block.mlp.b_in, "mlp.b_out": block.mlp.b_out}
            optional |= {"mlp.W_gate": None if gate is None else gate.T}
        state |= {f"{at}.{name}": tensor for name, tensor in optional.items() if tensor is not None}
    state |= {name: tensor for name, tensor in _gains({"ln_final": weights.ln_final}).items() if tensor is not None}
    state["unembed.W_U"] = weights.unembed.T
    if weights.b_unembed is not None:
        state["unembed.b_U"] = weights.b_unembed
    return state


def _gains(norms: Mapping[str, Norm]) -> dict[str, Tensor | None]:
    return {f"{name}.{part}": getattr(norm, part) for name, norm in norms.items() for part in ("w", "b")}


def random_state(config: TransformerConfig, seed: int, *, scale: float = 0.0) -> dict[str, Tensor]:
    """A state dict of that shape with normal weights of standard deviation `scale` (0: 1/sqrt(d_model)), biases
    included, and norm gains around 1: what benchmarks and tests run when no trained weights matter."""
    generator = torch.Generator().manual_seed(seed)
    spread = scale or 1 / math.sqrt(config.d_model)
    state = {}
    for name, shape in expected_shapes(config).items():
        values = torch.randn(shape, generator=generator) * spread
        state[name] = 1 + values if name.endswith(".w") else values
    return state


def _plain_name(name: str) -> str:
    """HookedTransformer writes the shared keys and values of grouped-query attention with an underscore."""
    head, _, last = name.rpartition(".")
    return f"{head}.{last[1:]}" if last in ("_W_K", "_W_V", "_b_K", "_b_V") else name


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + " ".join(map(str, shape)) + "]"


def _listed(items: list[str], most: int = 6) -> str:
    rest = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + rest
