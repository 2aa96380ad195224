"""All 144 heads of a random GPT-2-small shape ablated one by one, 4 prompts of 20 tokens: ours beside TransformerLens.

Same run, same machine, same weights; the two sides take turns, and the ratio is of the fastest rounds, because other
work on the machine only ever adds time.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformer_lens import HookedTransformer, HookedTransformerConfig, patching

from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from engine.circuits.sweeps.head_sweep import components_of, head_sweep
from engine.models.protocols import TransformerConfig
from engine.models.transformer import Transformer
from engine.models.weights import random_state
from engine.prompts.tokenized import TokenBatch
from sessions.artifacts import Model

GPT2_SMALL = TransformerConfig(
    architecture="gpt2",
    n_layers=12,
    n_heads=12,
    d_model=768,
    d_head=64,
    d_mlp=3072,
    d_vocab=50257,
    n_ctx=1024,
)
PROMPTS, LENGTH = 4, 20


class NoTokenizer:
    """The prompts here are token ids already."""

    name = "none"
    bos_id = None

    def encode(self, text: str) -> list[int]:
        raise NotImplementedError

    def decode(self, ids: list[int]) -> str:
        raise NotImplementedError

    def token_texts(self, ids: list[int]) -> list[str]:
        return [str(i) for i in ids]


def both_models(config: TransformerConfig, seed: int = 0) -> tuple[Transformer, HookedTransformer]:
    """The same random weights in our runtime and in TransformerLens'."""
    state = random_state(config, seed)
    ours = Transformer(
        config, state, NoTokenizer(), Model(title="random", source="random", family="transformer", architecture="gpt2")
    )
    peer = HookedTransformer(
        HookedTransformerConfig(
            n_layers=config.n_layers,
            n_heads=config.n_heads,
            d_model=config.d_model,
            d_head=config.d_head,
            d_mlp=config.d_mlp,
            d_vocab=config.d_vocab,
            n_ctx=config.n_ctx,
            act_fn=config.act_fn,
            normalization_type="LN",
            device="cpu",
        )
    )
    peer.load_state_dict(state, strict=False)
    peer.eval()
    return ours, peer


def random_prompts(config: TransformerConfig, seed: int = 1) -> TokenBatch:
    numbers = torch.Generator().manual_seed(seed)
    drawn = torch.randint(config.d_vocab, (PROMPTS, LENGTH + 2), generator=numbers)
    return TokenBatch(
        tokens=drawn[:, :LENGTH],
        corrupt=None,
        lengths=torch.full((PROMPTS,), LENGTH),
        at=torch.full((PROMPTS, 1), LENGTH - 1),
        answers=drawn[:, LENGTH : LENGTH + 1],
        foils=drawn[:, LENGTH + 1 :],
    )


def ours(model: Transformer, batch: TokenBatch) -> Tensor:
    """[layer head] mean logit difference with that head zeroed, clean pass included in the work."""
    config = model.config
    runs = PromptRuns(model, batch, METRICS["logit_diff"])
    order = components_of(config.n_layers, config.n_heads, mlps=False)
    swept = [part.values.mean(1) for part in head_sweep(runs, [order])]
    return torch.cat(swept).view(config.n_layers, config.n_heads)


def _difference(batch: TokenBatch) -> Callable[[Tensor], Tensor]:
    assert batch.foils is not None
    answers, foils = batch.answers, batch.foils

    def metric(logits: Tensor) -> Tensor:
        last = logits[:, -1]
        return (last.gather(1, answers) - last.gather(1, foils)).mean()

    return metric


@torch.no_grad()
def hooked_forwards(model: HookedTransformer, batch: TokenBatch) -> Tensor:
    """One `run_with_hooks` per head, as TransformerLens' tutorials do it."""
    metric = _difference(batch)
    result = torch.zeros(model.cfg.n_layers, model.cfg.n_heads)
    for layer in range(model.cfg.n_layers):
        for head in range(model.cfg.n_heads):

            def zero(z: Tensor, hook: Any, head: int = head) -> Tensor:
                z[:, :, head] = 0.0
                return z

            logits = model.run_with_hooks(batch.tokens, fwd_hooks=[(f"blocks.{layer}.attn.hook_z", zero)])
            result[layer, head] = metric(logits)
    return result


@torch.no_grad()
def patching_helper(model: HookedTransformer, batch: TokenBatch) -> Tensor:
    """`transformer_lens.patching.get_act_patch_attn_head_out_all_pos`, patching zeros into every head's z."""
    c = model.cfg
    zeros = {
        f"blocks.{layer}.attn.hook_z": torch.zeros(PROMPTS, LENGTH, c.n_heads, c.d_head) for layer in range(c.n_layers)
    }
    result: Tensor = patching.get_act_patch_attn_head_out_all_pos(model, batch.tokens, zeros, _difference(batch))
    return result


def measure(rounds: int = 1, config: TransformerConfig = GPT2_SMALL) -> list[dict[str, Any]]:
    """One row per peer: seconds of ours and theirs, their ratio, and the greatest difference between the results.

    Raises ValueError when a difference exceeds 1e-5: a fast wrong answer has no ratio.
    """
    model, hooked = both_models(config)
    batch = random_prompts(config)
    ours(model, batch)  # the first call of each side pays for memory and kernels
    hooked(batch.tokens)
    peers = {"one hooked forward per head": hooked_forwards, "transformer_lens.patching": patching_helper}
    seconds: dict[str, list[float]] = collections.defaultdict(list)
    results: dict[str, Tensor] = {}

    def clocked(name: str, work: Callable[[], Tensor]) -> None:
        started = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):  # the helper draws a progress bar
            results[name] = work()
        seconds[name].append(time.perf_counter() - started)

    for _ in range(rounds):
        for name, side in peers.items():
            clocked(f"ours beside {name}", lambda: ours(model, batch))
            clocked(name, functools.partial(side, hooked, batch))
    best = {name: min(times) for name, times in seconds.items()}
    heads = config.n_layers * config.n_heads
    rows = []
    for name in peers:
        mine = f"ours beside {name}"  # as many rounds as the peer's, in turns with them
        difference = float((results[mine] - results[name]).abs().max())
        if not difference < 1e-5:
            raise ValueError(f"the results differ from {name} by {difference:.2g}")
        rows.append(
            {
                "name": f"sweep of {heads} heads",
                "ours": best[mine],
                "peer": best[name],
                "ratio": best[name] / best[mine],
                "unit": "s",
                "peer_name": name,
                "max_difference": difference,
                "note": f"zero ablation, logit difference, {PROMPTS} x {LENGTH} tokens, float32, "
                f"{torch.get_num_threads()} threads, best of {rounds}; largest difference {difference:.1e}",
            }
        )
    return rows


if __name__ == "__main__":
    for row in measure():
        print("  ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{value}" for key, value in row.items()))
