"""Small random models in our runtime and in TransformerLens', and ablation the slow way with the latter's hooks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from transformer_lens import HookedTransformer, HookedTransformerConfig

from engine.models.protocols import TransformerConfig
from engine.models.transformer import Transformer
from engine.models.weights import random_state
from engine.prompts.tokenized import TokenBatch
from sessions.artifacts import Model, PromptRow, Prompts
from sessions.components import Head, Mlp
from sessions.errors import CancelledError

torch.set_num_threads(1)  # on models this small a second thread only waits, and on a busy machine it waits long


class IdsOnly:
    """A tokenizer for prompts that are ids already: words are t0, t1, ..."""

    name = "ids"
    bos_id = None

    def encode(self, text: str) -> list[int]:
        return [int(word[1:]) for word in text.split()]

    def decode(self, ids: list[int]) -> str:
        return " ".join(f"t{i}" for i in ids)

    def token_texts(self, ids: list[int]) -> list[str]:
        return [f"t{i}" for i in ids]


@dataclass
class Pair:
    """The same weights twice."""

    ours: Transformer
    hooked: HookedTransformer


def make_pair(
    *,
    parallel: bool = False,
    d_mlp: int = 24,
    n_layers: int = 3,
    n_heads: int = 4,
    seed: int = 0,
    scale: float = 0.35,
    attention: Literal["causal", "bidirectional"] = "causal",
) -> Pair:
    config = TransformerConfig(
        architecture="random",
        n_layers=n_layers,
        n_heads=n_heads,
        d_model=16,
        d_head=4,
        d_mlp=d_mlp,
        d_vocab=23,
        n_ctx=16,
        parallel_attn_mlp=parallel,
        attention=attention,
    )
    state = random_state(config, seed, scale=scale)
    handle = Model(title="random", source="random", family="transformer", architecture="random")
    hooked = HookedTransformer(
        HookedTransformerConfig(
            n_layers=n_layers,
            n_heads=n_heads,
            d_model=16,
            d_head=4,
            d_mlp=d_mlp or None,
            attn_only=not d_mlp,
            d_vocab=23,
            n_ctx=16,
            act_fn="gelu_new",
            normalization_type="LN",
            parallel_attn_mlp=parallel,
            attention_dir=attention,
            device="cpu",
        )
    )
    wanted = {n for n in hooked.state_dict() if not n.endswith(("mask", "IGNORE"))}
    assert wanted == set(state)
    hooked.load_state_dict(state, strict=False)
    return Pair(Transformer(config, state, IdsOnly(), handle), hooked.eval())


def make_batch(*, rows: int = 7, seed: int = 0, ragged: bool = False, scored: int = 1, vocab: int = 23) -> TokenBatch:
    numbers = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randint(1, vocab, shape, generator=numbers)

    lengths = torch.randint(5, 10, (rows,), generator=numbers) if ragged else torch.full((rows,), 9)
    real = torch.arange(int(lengths.max())) < lengths[:, None]
    foils = draw(rows, scored)
    return TokenBatch(
        tokens=torch.where(real, draw(*real.shape), 0),
        corrupt=torch.where(real, draw(*real.shape), 0),
        lengths=lengths,
        at=lengths[:, None] - torch.arange(scored, 0, -1),
        answers=torch.where((a := draw(rows, scored)) == foils, (a + 1) % vocab, a),
        foils=foils,
    )


def _mean_over(activation: Tensor, batch: TokenBatch) -> Tensor:
    """Per position when all prompts are equally long, else one mean over all real tokens."""
    lengths = batch.lengths.tolist()
    if len(set(lengths)) == 1:
        return activation.mean(0, keepdim=True)
    return torch.cat([row[:n] for row, n in zip(activation, lengths)]).mean(0)[None, None]


@torch.no_grad()
def naive_logits(model: HookedTransformer, batch: TokenBatch, gone: Collection[Head | Mlp], kind: str) -> Tensor:
    """[example k vocab] at the scored positions with the components of `gone` ablated: one whole hooked pass."""
    reference: Any = None
    if kind == "mean":
        reference = {n: _mean_over(v, batch) for n, v in model.run_with_cache(batch.tokens)[1].items() if v.dim() > 2}
    if kind == "resample":
        reference = model.run_with_cache(batch.corrupt)[1]

    def z_hook(z: Tensor, hook: Any) -> Tensor:
        for part in gone:
            if isinstance(part, Head) and hook.name == f"blocks.{part.layer}.attn.hook_z":
                z[:, :, part.head] = 0 if reference is None else reference[hook.name][:, :, part.head]
        return z

    def mlp_hook(out: Tensor, hook: Any) -> Tensor:
        for part in gone:
            if isinstance(part, Mlp) and hook.name == f"blocks.{part.layer}.hook_mlp_out":
                out = torch.zeros_like(out) if reference is None else reference[hook.name].expand_as(out)
        return out

    hooks: list[tuple[Any, Callable[..., Tensor]]] = [
        (lambda name: name.endswith("hook_z"), z_hook),
        (lambda name: name.endswith("hook_mlp_out"), mlp_hook),
    ]
    logits = model.run_with_hooks(batch.tokens, fwd_hooks=hooks)
    return torch.stack([row[at] for row, at in zip(logits, batch.at)])


def naive_metric(
    name: str, model: HookedTransformer, batch: TokenBatch, gone: Collection[Head | Mlp], kind: str
) -> Tensor:
    """[example] the metric, written out position by position."""
    logits = naive_logits(model, batch, gone, kind).double()
    clean = naive_logits(model, batch, (), "zero").double()
    result = []
    for i in range(len(logits)):
        values = []
        for k in range(logits.shape[1]):
            answer, p, full = int(batch.answers[i, k]), logits[i, k].softmax(-1), clean[i, k].softmax(-1)
            match name:
                case "logit_diff":
                    assert batch.foils is not None
                    values.append(float(logits[i, k, answer] - logits[i, k, int(batch.foils[i, k])]))
                case "logit_diff_max":
                    assert batch.foils is not None
                    foils = batch.foils[i, k : k + 1] if batch.all_foils is None else batch.all_foils[i]
                    values.append(float(logits[i, k, answer] - max(logits[i, k, int(f)] for f in foils if f >= 0)))
                case "loss":
                    values.append(-float(p[answer].log()))
                case "accuracy":
                    values.append(float(int(p.argmax()) == answer))
                case "kl":
                    values.append(float((full * (full / p).log()).sum()))
                case "l2":
                    values.append(float((logits[i, k] - clean[i, k]).square().sum()))
                case "prob_diff":
                    assert batch.foils is not None
                    values.append(float(p[answer] - p[int(batch.foils[i, k])]))
        result.append(sum(values) / len(values))
    return torch.tensor(result)


@pytest.fixture(scope="session")
def pair() -> Pair:
    return make_pair()


@pytest.fixture(scope="session")
def parallel_pair() -> Pair:
    return make_pair(parallel=True, seed=1)


@pytest.fixture(scope="session")
def attn_only_pair() -> Pair:
    return make_pair(d_mlp=0, seed=2)


@pytest.fixture(scope="session")
def bidirectional_pair() -> Pair:
    return make_pair(attention="bidirectional", seed=4)


@pytest.fixture(scope="session")
def batch() -> TokenBatch:
    return make_batch()


@pytest.fixture(scope="session")
def naive() -> Callable[..., Tensor]:
    return naive_metric


@pytest.fixture(scope="session")
def next_token_logits() -> Callable[..., Tensor]:
    return naive_logits


@pytest.fixture(scope="session")
def batches() -> Callable[..., TokenBatch]:
    return make_batch


class Desk:
    """A Context that remembers what was said to it, and can be interrupted once some units are saved."""

    seed = 0

    def __init__(self, **inputs: Any) -> None:
        self.inputs = inputs
        self.saved: dict[str, Any] = {}
        self.partials: list[Any] = []
        self.reports: list[tuple[int, int, str]] = []
        self.stop_after: int | None = None

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def torch_generator(self, device: str = "cpu") -> torch.Generator:
        return torch.Generator(device).manual_seed(self.seed)

    def artifact(self, ref: str) -> Any:
        return self.inputs[ref]

    def transformer(self, ref: str) -> Any:
        return self.inputs[ref]

    def rnn(self, ref: str) -> Any:
        raise NotImplementedError

    def progress(self, done: int, total: int, note: str = "") -> None:
        self.reports.append((done, total, note))
        if self.stop_after is not None and len(self.saved) >= self.stop_after:
            raise CancelledError("stopped by the test")

    def partial(self, artifact: Any) -> None:
        self.partials.append(artifact)

    def checkpoints(self) -> dict[str, Any]:
        return dict(self.saved)

    def checkpoint(self, unit: str, value: Any) -> None:
        assert unit not in self.saved, "a finished unit was done again"
        self.saved[unit] = value

    def log(self, message: str) -> None: ...


@pytest.fixture
def desk(pair: Pair) -> Desk:
    """The random model as @1, and as @2 twelve prompts of six tokens, each with a corrupt partner, answer and foil."""
    numbers = np.random.default_rng(3)

    def words(count: int) -> str:
        return " ".join(f"t{i}" for i in numbers.integers(1, 23, count))

    rows = []
    for _ in range(12):
        answer, foil = (f"t{i}" for i in numbers.choice(np.arange(1, 23), 2, replace=False))
        rows.append(
            PromptRow(clean=words(6), corrupt=words(6), answers=(answer,), foils=(foil,), positions={"a1": 1, "end": 5})
        )
    return Desk(**{"@1": pair.ours, "@2": Prompts(title="random", task="random", rows=tuple(rows))})
