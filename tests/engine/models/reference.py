"""A transformer written from its definition, one head and one position at a time, in float64: slow and plain."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.models.protocols import TransformerConfig

State = dict[str, Tensor]


def normalise(config: TransformerConfig, x: Tensor, state: State, name: str) -> Tensor:
    if config.normalization == "none":
        return x
    gain, offset = state.get(f"{name}.w", torch.ones(1)), state.get(f"{name}.b", torch.zeros(1))
    if config.normalization == "LN":
        x = x - x.mean()
    return x / torch.sqrt((x**2).mean() + config.eps) * gain + offset


def turn(config: TransformerConfig, head: Tensor, position: int) -> Tensor:
    """Rotary positions as complex numbers times e^{i angle}."""
    if config.positions != "rotary":
        return head
    half = config.rotary_dim // 2
    turned = head.clone()
    for i in range(half):
        first, second = (2 * i, 2 * i + 1) if config.rotary_adjacent_pairs else (i, i + half)
        angle = position * config.rotary_base ** (-2 * i / config.rotary_dim)
        number = complex(head[first], head[second]) * complex(math.cos(angle), math.sin(angle))
        turned[first], turned[second] = number.real, number.imag
    return turned


def activate(config: TransformerConfig, x: Tensor) -> Tensor:
    match config.act_fn:
        case "relu":
            return x.clamp(min=0)
        case "silu":
            return x / (1 + torch.exp(-x))
        case "gelu":
            return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
        case _:
            return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def logits(config: TransformerConfig, state: State, tokens: list[int], dead: frozenset[tuple[int, int]] = frozenset()):
    """Logits (pos, vocab) of one prompt; the heads (layer, head) in `dead` mix nothing: their z is zero."""
    c = config
    s = {name: tensor.double() for name, tensor in state.items()}
    x = [s["embed.W_E"][t] for t in tokens]
    if c.positions == "learned":
        x = [v + s["pos_embed.W_pos"][p] for p, v in enumerate(x)]
    group = c.n_heads // (c.n_kv_heads or c.n_heads)
    for layer in range(c.n_layers):
        b = {n.removeprefix(f"blocks.{layer}."): t for n, t in s.items() if n.startswith(f"blocks.{layer}.")}
        normed = [normalise(c, v, b, "ln1") for v in x]

        def part(which: str, head: int, v: Tensor, b: State = b) -> Tensor:
            bias = b.get(f"attn.b_{which}")
            return v @ b[f"attn.W_{which}"][head] + (0 if bias is None else bias[head])

        written = [b.get("attn.b_O", torch.zeros(c.d_model, dtype=torch.float64)).clone() for _ in x]
        for head in range(c.n_heads):
            if (layer, head) in dead:
                continue
            k = [turn(c, part("K", head // group, v), p) for p, v in enumerate(normed)]
            values = [part("V", head // group, v) for v in normed]
            for p, v in enumerate(normed):
                q = turn(c, part("Q", head, v), p)
                visible = len(k) if c.attention == "bidirectional" else p + 1
                scores = torch.stack([q @ k[j] for j in range(visible)]) / (c.attn_scale or math.sqrt(c.d_head))
                mixed = sum(w * values[j] for j, w in enumerate(scores.softmax(0)))
                written[p] = written[p] + mixed @ b["attn.W_O"][head]
        mid = [v + w for v, w in zip(x, written, strict=True)]
        if c.d_mlp:
            outs = []
            for v in x if c.parallel_attn_mlp else mid:
                n = normalise(c, v, b, "ln2")
                up = n @ b["mlp.W_in"] + b.get("mlp.b_in", 0)
                hidden = activate(c, n @ b["mlp.W_gate"]) * up if c.gated_mlp else activate(c, up)
                outs.append(hidden @ b["mlp.W_out"] + b.get("mlp.b_out", 0))
            mid = [m + o for m, o in zip(mid, outs, strict=True)]
        x = mid
    final = torch.stack([normalise(c, v, s, "ln_final") for v in x])
    return final @ s["unembed.W_U"] + s.get("unembed.b_U", 0)
