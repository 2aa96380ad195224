"""Activation patching of every head's z, and of attention by layer and position: ours beside TransformerLens' helpers.

Same run, same machine, same weights; the two sides take turns, and the ratio is of the fastest rounds, because other
work on the machine only ever adds time.
"""

from __future__ import annotations

import collections
import contextlib
import io
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformer_lens import HookedTransformer, patching

from engine.circuits.interventions.activation_patching import Patch, Site, activation_patching
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from engine.models.protocols import TransformerConfig
from engine.models.transformer import Transformer
from engine.prompts.tokenized import TokenBatch
from tests.benchmarks.bench_head_sweep import GPT2_SMALL, both_models

SMALL = TransformerConfig(
    architecture="gpt2", n_layers=4, n_heads=8, d_model=128, d_head=16, d_mlp=512, d_vocab=1000, n_ctx=64
)
# which model, how many prompts of how many tokens, and what is patched
CASES: tuple[tuple[str, TransformerConfig, int, int, Site], ...] = (
    ("GPT-2-small shape", GPT2_SMALL, 4, 20, "z"),
    ("4 layers, 8 heads, d 128", SMALL, 16, 20, "z"),
    ("4 layers, 8 heads, d 128", SMALL, 16, 20, "attn_out"),
)


def random_pairs(config: TransformerConfig, rows: int, length: int) -> TokenBatch:
    """Prompts whose corrupt partners differ in four tokens."""
    numbers = torch.Generator().manual_seed(1)
    drawn = torch.randint(config.d_vocab, (rows, length + 6), generator=numbers)
    corrupt = drawn[:, :length].clone()
    corrupt[:, 4:8] = drawn[:, length + 2 :]
    return TokenBatch(
        tokens=drawn[:, :length],
        corrupt=corrupt,
        lengths=torch.full((rows,), length),
        at=torch.full((rows, 1), length - 1),
        answers=drawn[:, length : length + 1],
        foils=drawn[:, length + 1 : length + 2],
    )


def ours(model: Transformer, batch: TokenBatch, site: Site) -> Tensor:
    """[layer head] or [layer position]: the mean logit difference under each patch, both clean passes included."""
    config, (rows, length) = model.config, batch.tokens.shape
    heads = config.n_heads if site == "z" else 1
    places = None if site == "z" else torch.arange(length)[:, None].expand(-1, rows)
    layers, count = range(config.n_layers), 1 if places is None else length
    patches = [Patch(layer, head, place) for layer in layers for head in range(heads) for place in range(count)]
    runs = PromptRuns(model, batch, METRICS["logit_diff"], "resample")
    found: dict[Patch, Tensor] = {}
    for part in activation_patching(runs, site, "denoising", [patches], places=places):
        found |= dict(zip(part.patches, part.values.mean(1)))
    return torch.stack([found[patch] for patch in patches]).view(config.n_layers, -1)


@torch.no_grad()
def theirs(model: HookedTransformer, batch: TokenBatch, site: Site) -> Tensor:
    """The same by `transformer_lens.patching`, one hooked forward per patch."""
    answers, foils = batch.answers, batch.foils
    assert foils is not None

    def metric(logits: Tensor) -> Tensor:
        last = logits[:, -1]
        return (last.gather(1, answers) - last.gather(1, foils)).mean()

    helper = patching.get_act_patch_attn_head_out_all_pos if site == "z" else patching.get_act_patch_attn_out
    _, clean = model.run_with_cache(batch.tokens)
    with contextlib.redirect_stderr(io.StringIO()):  # the helper draws a progress bar
        found: Tensor = helper(model, batch.corrupt, clean, metric)
    return found


def measure(rounds: int = 1, cases: tuple[Any, ...] = CASES) -> list[dict[str, Any]]:
    """One row per case: seconds of ours and theirs, their ratio, and the greatest difference between the results.

    Raises ValueError when a difference exceeds 1e-5: a fast wrong answer has no ratio.
    """
    rows = []
    for title, config, prompts, length, site in cases:
        model, hooked = both_models(config)
        batch = random_pairs(config, prompts, length)
        seconds: dict[str, list[float]] = collections.defaultdict(list)
        results: dict[str, Tensor] = {}

        def clocked(name: str, work: Callable[[], Tensor], seconds: Any = seconds, results: Any = results) -> None:
            started = time.perf_counter()
            results[name] = work()
            seconds[name].append(time.perf_counter() - started)

        ours(model, batch, site)  # the first call of each side pays for memory and kernels
        hooked(batch.tokens)
        for _ in range(rounds):
            clocked("ours", lambda model=model, batch=batch, site=site: ours(model, batch, site))
            clocked("theirs", lambda hooked=hooked, batch=batch, site=site: theirs(hooked, batch, site))
        difference = float((results["ours"] - results["theirs"]).abs().max())
        if not difference < 1e-5:
            raise ValueError(f"the results differ by {difference:.2g}")
        mine, peer = min(seconds["ours"]), min(seconds["theirs"])
        rows.append(
            {
                "name": f"{results['ours'].numel()} patches of {site}, {title}",
                "ours": mine,
                "peer": peer,
                "ratio": peer / mine,
                "unit": "s",
                "peer_name": "transformer_lens.patching",
                "max_difference": difference,
                "note": f"denoising, logit difference, {prompts} x {length} tokens, float32, "
                f"{torch.get_num_threads()} threads, best of {rounds}; largest difference {difference:.1e}",
            }
        )
    return rows


if __name__ == "__main__":
    for row in measure():
        print("  ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{value}" for key, value in row.items()))
