"""A transformer of one stack, run without hooks: fused weights, and passes that start and end where they are needed.

An ablation sweep runs a model thousands of times from the middle (reference: circuits.md, section e). What that takes,
and nothing more, is here: a kept forward pass, and `run_from` a layer on a given residual stream. These two are
evaluated without gradients; the parts they are made of keep them, if any are asked for.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from engine.models.labels import Labels
from engine.models.protocols import Cache, Edit, Tokenizer, TransformerConfig
from engine.models.rotary import rotary_table, rotate
from engine.models.weights import Norm, arrange
from sessions.artifacts import Model
from sessions.components import HeadInput
from sessions.errors import CallError, nearest

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu_new": functools.partial(F.gelu, approximate="tanh"),
    "gelu_fast": functools.partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": functools.partial(F.gelu, approximate="tanh"),
    "gelu": F.gelu,
    "relu": F.relu,
    "silu": F.silu,
}


class Attended(NamedTuple):
    z: Float[Tensor, "rows query head d_head"]
    pattern: Float[Tensor, "rows head query key"] | None


class Transformer:
    """Implements `engine.models.protocols.TransformerModel` on weights named as HookedTransformer's state dict.

    `labels` say what tokens, logits and residual directions mean, where that is known.

    CallError when the weights do not fit the configuration (all misfits in one sentence), or it names an activation
    that does not exist here.
    """

    def __init__(
        self,
        config: TransformerConfig,
        state: Mapping[str, Tensor],
        tokenizer: Tokenizer,
        handle: Model,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        labels: Labels | None = None,
    ) -> None:
        if config.d_mlp and config.act_fn not in ACTIVATIONS:
            raise CallError(
                f"activation '{config.act_fn}' is not supported", handle.source, nearest(config.act_fn, ACTIVATIONS)
            )
        self.config = config
        self.tokenizer = tokenizer
        self.handle = handle
        self.labels = labels
        self.device = torch.device(device)
        self.dtype = dtype
        self.weights = arrange(config, state, device=self.device, dtype=dtype, where=handle.source)
        self._causal = config.attention == "causal"
        self._kv_heads = config.n_kv_heads or config.n_heads
        self._scale = 1 / (config.attn_scale or math.sqrt(config.d_head))
        self._activation = ACTIVATIONS[config.act_fn] if config.d_mlp else F.relu
        self._rotary = self._rotary_table(min(config.n_ctx, 256)) if config.positions == "rotary" else None

    # -- the protocol: whole passes, evaluated without gradients ----------------------------------------------------

    @torch.no_grad()
    def forward(self, tokens: Int[Tensor, "batch pos"], *, pattern: bool = False, upto: int | None = None) -> Cache:
        """One pass, kept. `upto` stops before that layer: then later entries are missing.

        CallError when the prompts are longer than the model's context.
        """
        x = self.embed(tokens)
        resid, zs, outs, patterns = [x], [], [], []
        for layer in range(self.config.n_layers if upto is None else upto):
            attended = self.attend(layer, x, pattern=pattern)
            mid = x + self.attention_output(layer, attended.z)
            if self.config.d_mlp:
                out = self.mlp(layer, x if self.config.parallel_attn_mlp else mid)
                x = mid + out
            else:
                out, x = torch.zeros_like(x), mid
            resid.append(x)
            zs.append(attended.z)
            outs.append(out)
            if attended.pattern is not None:
                patterns.append(attended.pattern)
        c, (rows, length) = self.config, tokens.shape
        return Cache(
            resid_pre=torch.stack(resid),
            z=torch.stack(zs) if zs else x.new_zeros(0, rows, length, c.n_heads, c.d_head),
            mlp_out=torch.stack(outs) if outs else x.new_zeros(0, rows, length, c.d_model),
            pattern=(torch.stack(patterns) if patterns else x.new_zeros(0, rows, c.n_heads, length, length))
            if pattern
            else None,
        )

    @torch.no_grad()
    def run_from(
        self,
        layer: int,
        residual: Float[Tensor, "rows pos d_model"],
        *,
        edit: Edit | None = None,
        start: Literal["attention", "mlp"] = "attention",
        at: Int[Tensor, "rows k"] | None = None,
    ) -> Float[Tensor, "rows pos_or_k d_model"]:
        """The final residual stream from layer `layer` on. See the protocol; with `at`, an edit of the last layer sees
        tensors of the full length, in which only those positions are computed and the others are zero."""
        return self.continue_from(layer, residual, edit=edit, start=start, at=at)

    def unembed(
        self, residual: Float[Tensor, "rows k d_model"], columns: Int[Tensor, " column"] | None = None
    ) -> Float[Tensor, "rows k vocab"]:
        """Final norm and unembedding: logits; with `columns`, only those tokens' logits, in that order."""
        w, b = self.weights.unembed, self.weights.b_unembed
        if columns is not None:
            columns = columns.to(self.device)
            w, b = w[columns], None if b is None else b[columns]
        return F.linear(self.norm(residual, self.weights.ln_final), w, b)

    def attention_output(
        self, layer: int, z: Float[Tensor, "rows pos head d_head"]
    ) -> Float[Tensor, "rows pos d_model"]:
        """z W_O summed over heads, plus b_O: what attention adds to the residual stream."""
        block = self.weights.blocks[layer]
        return F.linear(z.flatten(2), block.w_o, block.b_o)

    def head_output(
        self, layer: int, head: int, z: Float[Tensor, "rows pos d_head"]
    ) -> Float[Tensor, "rows pos d_model"]:
        """One head's part of it, without b_O."""
        width = self.config.d_head
        return F.linear(z, self.weights.blocks[layer].w_o[:, head * width : (head + 1) * width])

    def head_outputs(
        self, layer: int, z: Float[Tensor, "rows pos some d_head"], heads: Sequence[int] | None = None
    ) -> Float[Tensor, "some rows pos d_model"]:
        """Several heads' parts, each by itself, without b_O; of all heads if none are named."""
        w_o = self.weights.blocks[layer].w_o.view(self.config.d_model, self.config.n_heads, -1).permute(1, 2, 0)
        rows, pos, some, width = z.shape
        chosen = w_o if heads is None else w_o[list(heads)]
        each = z.permute(2, 0, 1, 3).reshape(some, rows * pos, width)
        return torch.bmm(each, chosen).view(some, rows, pos, -1)

    def in_dtype(self, dtype: torch.dtype) -> Transformer:
        """The same model with weights in another number format: for passes that may round more, and take less time.
        This one stays as it is; tensors that are in that format already are shared."""
        twin = copy.copy(self)
        twin.dtype = dtype
        twin.handle = msgspec.structs.replace(self.handle, dtype=str(dtype).removeprefix("torch."))
        twin.weights = _in_dtype(self.weights, dtype)
        if self._rotary is not None:
            twin._rotary = twin._rotary_table(len(self._rotary[0]))
        return twin

    # -- the parts: differentiable ----------------------------------------------------------------------------------

    def embed(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        """Token embeddings plus learned positions. CallError when the context is too short for the tokens."""
        length = tokens.shape[1]
        if length > self.config.n_ctx:
            raise CallError(
                f"a prompt has {length} tokens, and the context holds {self.config.n_ctx}",
                self.handle.source,
                "shorten the prompts or choose a model with a longer context",
            )
        x = F.embedding(tokens.to(self.device), self.weights.embed)
        return x if self.weights.positions is None else x + self.weights.positions[:length]

    def continue_from(
        self,
        layer: int,
        x: Float[Tensor, "rows pos d_model"],
        *,
        edit: Edit | None = None,
        start: Literal["attention", "mlp"] = "attention",
        at: Int[Tensor, "rows k"] | None = None,
    ) -> Float[Tensor, "rows pos_or_k d_model"]:
        """`run_from`, with gradients."""
        parallel, last = self.config.parallel_attn_mlp, self.config.n_layers - 1
        at = None if at is None else at.to(self.device)
        if start == "mlp" and parallel:
            raise ValueError("attention and MLP run in parallel here: there is no residual stream between them")
        for now in range(layer, self.config.n_layers):
            edits = edit if edit is not None and now in edit.layers else None
            here = at if now == last else None
            before = x
            if here is not None:
                x = _take(x, here)
            if start == "attention" or now > layer:
                z = self.attend(now, before, at=here).z
                if edits is not None:
                    z = _edited(functools.partial(edits.z, now), z, here, before.shape[1])
                mid = x + self.attention_output(now, z)
            else:
                mid = x
            if self.config.d_mlp:
                out = self.mlp(now, x if parallel else mid)
                if edits is not None:
                    out = _edited(functools.partial(edits.mlp_out, now), out, here, before.shape[1])
                mid = mid + out
            x = mid
        return _take(x, at) if at is not None and layer > last else x

    def attend(
        self,
        layer: int,
        x: Float[Tensor, "rows pos d_model"],
        *,
        at: Int[Tensor, "rows k"] | None = None,
        pattern: bool = False,
    ) -> Attended:
        """Layer `layer`'s mixed values given the residual stream that enters it; with `at`, of those queries only."""
        q, k, v = self._projected(layer, self.norm(x, self.weights.blocks[layer].ln1), at)
        return self.mix(q, k, v, at=at, pattern=pattern)

    def projections(
        self, layer: int, x: Float[Tensor, "rows pos d_model"]
    ) -> tuple[Float[Tensor, "rows pos head d_head"], ...]:
        """Queries, keys and values given the residual stream that enters a layer, positions not yet rotated in. Shared
        keys and values (grouped-query attention) are repeated: every head has its own."""
        return self._projected(layer, self.norm(x, self.weights.blocks[layer].ln1), None)

    def head_inputs(
        self, layer: int, wanted: Sequence[tuple[HeadInput, int]], x: Float[Tensor, "rows pos d_model"]
    ) -> Float[Tensor, "rows pos wanted d_head"]:
        """Some inputs of some heads, from a residual stream that only they read: as `projections`."""
        block = self.weights.blocks[layer]
        rows = self._rows_of(wanted)
        bias = None if block.b_qkv is None else block.b_qkv[rows]
        made = F.linear(self.norm(x, block.ln1), block.w_qkv[rows], bias)
        return made.view(*made.shape[:-1], len(wanted), self.config.d_head)

    def head_input_weight(self, layer: int, name: HeadInput, head: int) -> Float[Tensor, "d_head d_model"]:
        """What a head multiplies the normed residual stream with; the norm's gain is not in it."""
        return self.weights.blocks[layer].w_qkv[self._rows_of([(name, head)])]

    def pull_back(
        self,
        layer: int,
        wanted: Sequence[tuple[HeadInput, int]],
        x: Float[Tensor, "rows pos d_model"],
        gradients: Float[Tensor, "rows pos wanted d_head"],
    ) -> Float[Tensor, "wanted rows pos d_model"]:
        """Gradients with respect to these inputs of heads, as gradients with respect to the residual stream x that
        enters the layer, each through its own input alone: back through the projection and the norm."""
        c, block = self.config, self.weights.blocks[layer]
        rows, pos, some, width = gradients.shape
        weights = block.w_qkv[self._rows_of(wanted)].view(some, width, c.d_model)
        g = torch.bmm(gradients.permute(2, 0, 1, 3).reshape(some, rows * pos, width), weights)
        g = g.view(some, rows, pos, c.d_model)
        if c.normalization == "none":
            return g
        if block.ln1.w is not None:
            g = g * block.ln1.w
        centred = x - x.mean(-1, keepdim=True) if c.normalization == "LN" else x
        scale = torch.rsqrt(centred.square().mean(-1, keepdim=True) + c.eps)
        unit = centred * scale
        g = g - unit * (g * unit).mean(-1, keepdim=True)
        if c.normalization == "LN":
            g = g - g.mean(-1, keepdim=True)
        return g * scale

    def mix(
        self,
        q: Float[Tensor, "rows query head d_head"],
        k: Float[Tensor, "rows key head d_head"],
        v: Float[Tensor, "rows key head d_head"],
        *,
        at: Int[Tensor, "rows query"] | None = None,
        pattern: bool = False,
    ) -> Attended:
        """What heads mix from their queries, keys and values (any number of heads). `at` says where the queries stand,
        if not everywhere."""
        c, length = self.config, k.shape[1]
        if self._rotary is not None:
            if length > len(self._rotary[0]):
                self._rotary = self._rotary_table(min(c.n_ctx, 2 * length))
            cos, sin = self._rotary
            pairs = c.rotary_adjacent_pairs
            q = rotate(q, cos[:length], sin[:length], pairs) if at is None else rotate(q, cos[at], sin[at], pairs)
            k = rotate(k, cos[:length], sin[:length], pairs)
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        if pattern:
            scores = (q @ k.transpose(2, 3)) * self._scale
            if self._causal:
                scores = scores.masked_fill(~self._visible(length, at), -torch.inf)
            weights = scores.softmax(dim=-1)
            return Attended((weights @ v).transpose(1, 2), weights)
        if at is None:
            z = F.scaled_dot_product_attention(q, k, v, is_causal=self._causal, scale=self._scale)
        else:
            mask = self._visible(length, at) if self._causal else None
            z = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=self._scale)
        return Attended(z.transpose(1, 2), None)

    def _projected(
        self, layer: int, normed: Float[Tensor, "rows pos d_model"], at: Int[Tensor, "rows k"] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        block, c = self.weights.blocks[layer], self.config
        rows, length, _ = normed.shape
        if at is None:
            qkv = F.linear(normed, block.w_qkv, block.b_qkv).view(rows, length, -1, c.d_head)
            q, k, v = torch.split(qkv, [c.n_heads, self._kv_heads, self._kv_heads], dim=2)
        else:
            cut = c.n_heads * c.d_head
            b_q, b_kv = (None, None) if block.b_qkv is None else (block.b_qkv[:cut], block.b_qkv[cut:])
            q = F.linear(_take(normed, at), block.w_qkv[:cut], b_q).view(rows, -1, c.n_heads, c.d_head)
            kv = F.linear(normed, block.w_qkv[cut:], b_kv).view(rows, length, -1, c.d_head)
            k, v = torch.split(kv, self._kv_heads, dim=2)
        if self._kv_heads != c.n_heads:
            k, v = (t.repeat_interleave(c.n_heads // self._kv_heads, dim=2) for t in (k, v))
        return q, k, v

    def _rows_of(self, wanted: Sequence[tuple[HeadInput, int]]) -> Int[Tensor, " row"]:
        """Which rows of w_qkv make these inputs."""
        c = self.config
        share = c.n_heads // self._kv_heads
        first = {"q": 0, "k": c.n_heads, "v": c.n_heads + self._kv_heads}
        starts = [(first[name] + (head if name == "q" else head // share)) * c.d_head for name, head in wanted]
        return (torch.tensor(starts)[:, None] + torch.arange(c.d_head)).flatten().to(self.device)

    def mlp(self, layer: int, x: Float[Tensor, "rows pos d_model"]) -> Float[Tensor, "rows pos d_model"]:
        """What the MLP adds, given the residual stream it reads (before its norm)."""
        block = self.weights.blocks[layer]
        assert block.mlp is not None
        normed = self.norm(x, block.ln2)
        w_in, b_in, w_gate, w_out, b_out = block.mlp
        if w_gate is None:
            hidden = self._activation(F.linear(normed, w_in, b_in))
        else:  # the bias belongs to the ungated branch (Shazeer, GLU variants, equation 5)
            hidden = self._activation(F.linear(normed, w_gate)) * F.linear(normed, w_in, b_in)
        return F.linear(hidden, w_out, b_out)

    def norm(self, x: Float[Tensor, "*rows d_model"], norm: Norm) -> Float[Tensor, "*rows d_model"]:
        match self.config.normalization:
            case "LN":
                return F.layer_norm(x, x.shape[-1:], norm.w, norm.b, self.config.eps)
            case "RMS":
                return F.rms_norm(x, x.shape[-1:], norm.w, self.config.eps)
            case _:
                return x

    def _rotary_table(self, length: int) -> tuple[Float[Tensor, "pos 1 r"], Float[Tensor, "pos 1 r"]]:
        """Of that many positions only: a context of 128,000 tokens is rarely filled."""
        cos, sin = rotary_table(self.config, length)
        return cos.to(self.device, self.dtype)[:, None], sin.to(self.device, self.dtype)[:, None]

    def _visible(self, length: int, at: Int[Tensor, "rows k"] | None) -> Bool[Tensor, "rows_or_1 1 query key"]:
        """Which keys a causal query may see: its own position and what is before it."""
        keys = torch.arange(length, device=self.device)
        queries = keys[None] if at is None else at
        return (keys <= queries[:, :, None])[:, None]


def _in_dtype(part: Any, dtype: torch.dtype) -> Any:
    """Weights, which are tuples of tensors and of such tuples, in another format."""
    if isinstance(part, Tensor):
        return part.to(dtype)
    if isinstance(part, tuple):
        made = [_in_dtype(inner, dtype) for inner in part]
        return type(part)(*made) if hasattr(part, "_fields") else tuple(made)
    return part


def _take(x: Float[Tensor, "rows pos width"], at: Int[Tensor, "rows k"]) -> Float[Tensor, "rows k width"]:
    return x.gather(1, at[:, :, None].expand(-1, -1, x.shape[2]))


def _edited(change: Callable[[Tensor], Tensor], value: Tensor, at: Tensor | None, length: int) -> Tensor:
    """`value` changed by an edit, which always sees tensors of the full length."""
    if at is None:
        return change(value)
    rows = torch.arange(len(value), device=value.device)[:, None]
    whole = value.new_zeros(len(value), length, *value.shape[2:])
    whole = whole.index_put((rows, at), value)
    return change(whole)[rows, at]
