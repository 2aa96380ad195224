"""A small decoder-only transformer that can be trained, with its weights named and shaped as HookedTransformer's.

Used by the scripts that make the bundled models; analysis runs through `engine.models.transformer`, never through this.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import torch
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.protocols import TransformerConfig


class LayerNorm(nn.Module):
    """LayerNorm whose parameters are called `w` and `b`."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.ones(config.d_model)), nn.Parameter(torch.zeros(config.d_model))
        self.eps = config.eps

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        return F.layer_norm(x, x.shape[-1:], self.w, self.b, self.eps)


class Attention(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        heads, d, size = config.n_heads, config.d_model, config.d_head
        self.W_Q, self.W_K, self.W_V = (nn.Parameter(torch.randn(heads, d, size) * d**-0.5) for _ in range(3))
        self.b_Q, self.b_K, self.b_V = (nn.Parameter(torch.zeros(heads, size)) for _ in range(3))
        self.W_O = nn.Parameter(torch.randn(heads, size, d) * (heads * size * 2 * config.n_layers) ** -0.5)
        self.b_O = nn.Parameter(torch.zeros(d))

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        q, k, v = self.queries_keys_values(x)
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return z.transpose(1, 2).flatten(-2) @ self.W_O.flatten(0, 1) + self.b_O

    def queries_keys_values(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "3 batch head pos d_head"]:
        # One product for queries, keys and values of all heads: on a CPU this is what training time hangs on.
        heads, d, size = self.W_Q.shape
        joined = torch.cat([self.W_Q, self.W_K, self.W_V]).transpose(0, 1).reshape(d, 3 * heads * size)
        bias = torch.cat([self.b_Q, self.b_K, self.b_V]).reshape(-1)
        return (x @ joined + bias).view(*x.shape[:2], 3, heads, size).permute(2, 0, 3, 1, 4)


class Mlp(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        d, wide = config.d_model, config.d_mlp
        self.W_in, self.b_in = nn.Parameter(torch.randn(d, wide) * d**-0.5), nn.Parameter(torch.zeros(wide))
        self.W_out = nn.Parameter(torch.randn(wide, d) * (wide * 2 * config.n_layers) ** -0.5)
        self.b_out = nn.Parameter(torch.zeros(d))

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        return F.gelu(x @ self.W_in + self.b_in, approximate="tanh") @ self.W_out + self.b_out


class Block(nn.Module):
    attn: Attention

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        plain = config.normalization == "none"
        self.ln1: nn.Module = nn.Identity() if plain else LayerNorm(config)
        self.attn = Attention(config)
        if config.d_mlp:
            self.ln2: nn.Module = nn.Identity() if plain else LayerNorm(config)
            self.mlp: Mlp | None = Mlp(config)
        else:
            self.mlp = None

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        x = x + self.attn(self.ln1(x))
        return x if self.mlp is None else x + self.mlp(self.ln2(x))


class _Weight(nn.Module):
    """One matrix (and a bias) under the name HookedTransformer gives it."""

    def __init__(self, name: str, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.register_parameter(name, nn.Parameter(weight))
        if bias is not None:
            self.register_parameter("b_U", nn.Parameter(bias))


class TrainableTransformer(nn.Module):
    """Decoder-only, learned positions, tanh-approximated GELU (`gelu_new`), LayerNorm or none.

    Matrices start as normal with variance 1 / fan-in (those that write to the residual stream divided by 2 n_layers),
    embeddings with standard deviation 0.1 so that the first updates shape them.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        d, vocab = config.d_model, config.d_vocab
        self.config = config
        self.embed = _Weight("W_E", torch.randn(vocab, d) * 0.1)
        self.pos_embed = _Weight("W_pos", torch.randn(config.n_ctx, d) * 0.1)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.ln_final = nn.Identity() if config.normalization == "none" else LayerNorm(config)
        self.unembed = _Weight("W_U", torch.randn(d, vocab) * d**-0.5, torch.zeros(vocab))

    def embedded(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        positions = self.pos_embed.get_parameter("W_pos")[: tokens.shape[1]]
        return self.embed.get_parameter("W_E")[tokens] + positions

    def residual(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after the last block and norm."""
        x = self.embedded(tokens)
        for block in self.blocks:
            x = block(x)
        normalized: Tensor = self.ln_final(x)
        return normalized

    @torch.no_grad()
    def patterns(self, tokens: Int[Tensor, "batch pos"]) -> list[Float[Tensor, "head batch query key"]]:
        """Attention patterns by layer, after softmax."""
        x = self.embedded(tokens)
        causal = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).tril()
        found = []
        for block in self.blocks:
            assert isinstance(block, Block)
            q, k, _ = block.attn.queries_keys_values(block.ln1(x))
            scores = q @ k.transpose(-1, -2) / self.config.d_head**0.5
            found.append(scores.masked_fill(~causal, -torch.inf).softmax(-1).transpose(0, 1))
            x = block(x)
        return found

    def head_norms(self) -> Float[Tensor, " head"]:
        """The Frobenius norm of every head's W_O. Their sum, as a cost (group lasso), leaves few heads at work."""
        return torch.cat([block.attn.W_O.flatten(1).norm(dim=1) for block in self.blocks if isinstance(block, Block)])

    def logits(self, residual: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        return residual @ self.unembed.get_parameter("W_U") + self.unembed.get_parameter("b_U")

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos vocab"]:
        return self.logits(self.residual(tokens))


def save(
    model: TrainableTransformer, path: Path, tokenizer: dict[str, object], summary: str, facts: dict[str, object]
) -> None:
    """Write `path` (.safetensors, float32) and its .json: family, configuration, tokenizer, and what was measured.

    `tokenizer` is described as `engine.models.tokenizers.read_tokenizer` reads it.
    """
    weights = {name: value.detach().float().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, path)
    path.chmod(0o644)
    document = {
        "family": "transformer",
        "title": path.stem,
        "summary": summary,
        **msgspec.to_builtins(model.config),
        "tokenizer": tokenizer,
        "training": facts,
    }
    path.with_suffix(".json").write_text(json.dumps(document) + "\n", encoding="utf-8")
