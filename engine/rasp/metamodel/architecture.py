"""The published meta-model: a decoder-only transformer whose sequence is the weights of a model, cut into "weight
tokens" of the width of the residual stream, and then the embedded tokens of a program."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import msgspec
import torch
from jaxtyping import Float, Int
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from engine.rasp.sampling.flatten import MOST_TOKENS, MOST_WEIGHTS, PADDING
from engine.rasp.sampling.tokens import VOCABULARY
from sessions.errors import CallError

FORMAT = "iwb-rasp-metamodel-1"


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of a meta-model."""

    m: int = MOST_WEIGHTS  # numbers read
    d: int = 256  # width of the residual stream, and numbers in a weight token
    layers: int = 6
    heads: int = 4
    mlp: int = 1024
    r: int = MOST_TOKENS  # program tokens
    vocabulary: int = len(VOCABULARY)
    padding: float = PADDING  # stands after the last weight

    @property
    def pieces(self) -> int:
        return self.m // self.d

    @property
    def parameters(self) -> int:
        block = 4 * self.d * (self.d + 1) + 2 * self.d * self.mlp + self.mlp + self.d + 4 * self.d
        return (self.pieces + self.r + 2 * self.vocabulary) * self.d + self.layers * block + 2 * self.d


PUBLISHED = Size()
# For two CPU cores and a few minutes: it reads small models and writes short programs.
SMOKE = Size(m=2_560, d=64, layers=3, heads=4, mlp=256, r=48)
SIZES = {"smoke": SMOKE, "published": PUBLISHED}


class Cache(NamedTuple):
    """Keys and values of everything read so far, per layer."""

    keys: list[Float[Tensor, "batch head pos d_head"]]
    values: list[Float[Tensor, "batch head pos d_head"]]

    def rows(self, which: Int[Tensor, " rows"]) -> Cache:
        """The cache of some rows, in that order; a row may come several times."""
        return Cache([k[which] for k in self.keys], [v[which] for v in self.values])


class Block(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.ln1 = nn.LayerNorm(size.d)
        self.qkv = nn.Linear(size.d, 3 * size.d)
        self.out = nn.Linear(size.d, size.d)
        self.ln2 = nn.LayerNorm(size.d)
        self.mlp_in = nn.Linear(size.d, size.mlp)
        self.mlp_out = nn.Linear(size.mlp, size.d)

    def forward(
        self, x: Float[Tensor, "batch pos d"], past: tuple[Tensor, Tensor] | None
    ) -> tuple[Float[Tensor, "batch pos d"], tuple[Tensor, Tensor]]:
        batch, pos, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(batch, pos, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        if past is None:
            z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            before = past[0].shape[2]
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
            seen = torch.ones(pos, before + pos, dtype=torch.bool, device=x.device).tril(before) if pos > 1 else None
            z = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        x = x + self.out(z.transpose(1, 2).reshape(batch, pos, d))
        x = x + self.mlp_out(F.gelu(self.mlp_in(self.ln2(x))))
        return x, (k, v)


class Metamodel(nn.Module):
    """Weights in, logits of program tokens out.

    `describes`: what it was trained on (a `data.Source` as plain values), kept with the weights.
    """

    def __init__(self, size: Size, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if size.m % size.d or size.d % size.heads:
            raise CallError(f"{size.m} numbers and {size.heads} heads do not divide by a width of {size.d}", "size")
        self.size = size
        self.describes: dict[str, Any] = {}
        self.embed = nn.Embedding(size.vocabulary, size.d)
        self.position = nn.Parameter(torch.empty(size.pieces + size.r, size.d))
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.ln = nn.LayerNorm(size.d)
        self.unembed = nn.Linear(size.d, size.vocabulary, bias=False)
        self._initialise(generator or torch.Generator().manual_seed(0))

    def _initialise(self, generator: torch.Generator) -> None:
        """As GPT-2: normal with standard deviation 0.02, less for what writes into the residual stream."""
        for name, weight in self.named_parameters():
            if weight.dim() > 1:
                writes = name.endswith(("out.weight", "mlp_out.weight"))
                std = 0.02 / math.sqrt(2 * self.size.layers) if writes else 0.02
                nn.init.normal_(weight, std=std, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)

    def forward(
        self, weights: Float[Tensor, "batch pieces d"], tokens: Int[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos vocabulary"]:
        """Logits for what follows each program token. Rows may end in PAD: attention is causal."""
        logits, _ = self._run(torch.cat([weights, self.embed(tokens)], dim=1), 0, None)
        return logits

    def read(self, weights: Float[Tensor, "batch pieces d"]) -> Cache:
        """The weights alone, once: programs are then written from the cache."""
        _, cache = self._run(weights, 0, None)
        return cache

    def write(
        self, tokens: Int[Tensor, "batch pos"], cache: Cache
    ) -> tuple[Float[Tensor, "batch pos vocabulary"], Cache]:
        """Logits after further program tokens, and the cache with them."""
        return self._run(self.embed(tokens), cache.keys[0].shape[2], cache)

    def _run(
        self, x: Float[Tensor, "batch pos d"], start: int, cache: Cache | None
    ) -> tuple[Float[Tensor, "batch program vocabulary"], Cache]:
        end = start + x.shape[1]
        if end > len(self.position):
            raise CallError(
                f"the program has {end - self.size.pieces} tokens, the meta-model takes {self.size.r}", "tokens"
            )
        x = x + self.position[start:end]
        keys, values = [], []
        for layer, block in enumerate(self.blocks):
            x, (k, v) = block(x, None if cache is None else (cache.keys[layer], cache.values[layer]))
            keys.append(k)
            values.append(v)
        program = x[:, max(self.size.pieces - start, 0) :]
        return self.unembed(self.ln(program)), Cache(keys, values)


def encode(model: Metamodel) -> bytes:
    """The meta-model as safetensors, with its size and what it was trained on in the metadata."""
    state = {name: weight.detach().cpu().contiguous() for name, weight in model.state_dict().items()}
    told = {"format": FORMAT, "size": msgspec.to_builtins(model.size), "describes": model.describes}
    return bytes(save(state, {"iwb": json.dumps(told, sort_keys=True)}))


def decode(data: bytes, *, device: str = "cpu") -> Metamodel:
    """A meta-model from its bytes. CallError when they hold none, or one of another vocabulary."""
    try:
        head = int.from_bytes(data[:8], "little")
        told = json.loads(json.loads(data[8 : 8 + head])["__metadata__"]["iwb"])
        if told["format"] != FORMAT:
            raise ValueError(told["format"])
        size = msgspec.convert(told["size"], Size)
        if 4 * size.parameters > len(data):  # before memory is asked for
            raise ValueError("fewer numbers than the size says")
        model = Metamodel(size)
        model.load_state_dict(load(data))
        model.describes = dict(told["describes"])
    except Exception:  # safetensors, json, msgspec and torch each have errors of their own: one meaning here
        raise CallError("these weights are not a meta-model", "model", "make one with rasp.train_metamodel") from None
    if model.size.vocabulary != len(VOCABULARY):
        raise CallError(f"the meta-model writes {model.size.vocabulary} words, this version has {len(VOCABULARY)}")
    return model.to(device).eval()
