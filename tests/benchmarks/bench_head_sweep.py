"""All 144 heads of a random GPT-2-small shape ablated one by one, 4 prompts of 20 tokens: ours beside TransformerLens.

Same run, same machine, same weights; the two sides take turns, and the ratio is of the fastest rounds, because other
work on the machine only ever adds time. Where the machine has bfloat16 matrix units there are rows for the screened
sweep too: which ten heads matter most must be the same as in single precision, and that the greedy sweep removes.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformer_lens import HookedTransformer, HookedTransformerConfig, patching

from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from engine.circuits.sweeps.greedy_sweep import greedy_sweep
from engine.circuits.sweeps.head_sweep import components_of, head_sweep
from engine.circuits.sweeps.head_values import HeadValues
from engine.circuits.sweeps.screening import has_bf16_units, sample_of
from engine.circuits.sweeps.sweep_operations import Rule
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
MATTER = Rule(top=10)  # the decision that the screened sweep has to make
THETA = 0.05  # of the greedy sweep, in logits


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


class NothingSaved:
    """The part of an operation's Context that a sweep's values need: no earlier run, and nothing kept of this one."""

    def checkpoints(self) -> dict[str, Any]:
        return {}

    def checkpoint(self, unit: str, value: Any) -> None: ...


def screened(model: Transformer, batch: TokenBatch) -> tuple[Tensor, int]:
    """As `ours`, screened in bfloat16, the copy of the model included in the work; and how many were done again."""
    config = model.config
    runs = PromptRuns(model, batch, METRICS["logit_diff"])
    order = components_of(config.n_layers, config.n_heads, mlps=False)
    found = HeadValues(NothingSaved(), runs, order, 24)  # type: ignore[arg-type]
    through = model.in_dtype(torch.bfloat16)
    collections.deque(found.screened(through, sample_of(len(order), config.n_heads), MATTER.undecided), maxlen=0)
    again = int(np.isfinite(found.exact).all(1).sum())
    return torch.from_numpy(found.values.mean(1)).view(config.n_layers, config.n_heads), again


def matters(values: Tensor, clean: float) -> list[int]:
    """Which heads are among the ten of the largest change."""
    return np.flatnonzero(MATTER.chosen(np.abs(values.flatten().double().numpy() - clean))).tolist()


def removed(model: Transformer, batch: TokenBatch, *, screen: bool) -> list[tuple[int, int]]:
    """What the greedy sweep takes away."""
    runs = PromptRuns(model, batch, METRICS["logit_diff"])
    through = model.in_dtype(torch.bfloat16) if screen else None
    made = greedy_sweep(runs, None, theta=THETA, chain=8, through=through)
    return [(line.layer, line.head) for chain in made for line in chain if line.removed]


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

    units = has_bf16_units("cpu")
    clean = float(PromptRuns(model, batch, METRICS["logit_diff"]).clean.double().mean())
    again = 0

    def quickly() -> Tensor:
        nonlocal again
        values, again = screened(model, batch)
        return values

    for _ in range(rounds):
        for name, side in peers.items():
            clocked(f"ours beside {name}", lambda: ours(model, batch))
            if units:
                clocked(f"screened beside {name}", quickly)
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
        if units:
            mine = f"screened beside {name}"
            if matters(results[mine], clean) != matters(results[name], clean):
                raise ValueError(f"screened in bfloat16, other heads matter than with {name}")
            rows.append(
                {
                    "name": f"sweep of {heads} heads, screened in bfloat16",
                    "ours": best[mine],
                    "peer": best[name],
                    "ratio": best[name] / best[mine],
                    "unit": "s",
                    "peer_name": name,
                    "max_difference": float((results[mine] - results[name]).abs().max()),
                    "note": f"the same ten heads matter most; {again} of {heads} heads done again in float32; "
                    f"{torch.get_num_threads()} threads, best of {rounds}",
                }
            )
    if units:
        rows.append(_greedy(model, batch, rounds))
    return rows


def _greedy(model: Transformer, batch: TokenBatch, rounds: int) -> dict[str, Any]:
    """The greedy sweep, screened, beside the same in single precision. ValueError when they remove other heads."""
    seconds: dict[bool, float] = {True: float("inf"), False: float("inf")}
    gone: dict[bool, list[tuple[int, int]]] = {}
    for _ in range(rounds):
        for screen in (True, False):
            started = time.perf_counter()
            gone[screen] = removed(model, batch, screen=screen)
            seconds[screen] = min(seconds[screen], time.perf_counter() - started)
    if gone[True] != gone[False]:
        raise ValueError("screened in bfloat16, the greedy sweep removes other heads than in float32")
    return {
        "name": "greedy sweep, screened in bfloat16",
        "ours": seconds[True],
        "peer": seconds[False],
        "ratio": seconds[False] / seconds[True],
        "unit": "s",
        "peer_name": "ours in float32",
        "max_difference": 0.0,
        "note": f"the same {len(gone[True])} heads removed (theta {THETA:g} logits); best of {rounds}",
    }


if __name__ == "__main__":
    for row in measure():
        print("  ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{value}" for key, value in row.items()))
