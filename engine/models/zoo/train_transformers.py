"""Train the bundled transformers, seeded, on a CPU: `python -P -m engine.models.zoo.train_transformers`.

Writes `induction.safetensors` and `tpp.safetensors` with their .json beside this file, and prints the accuracy on
held-out combinations (argmax over the whole vocabulary) and the induction model's head scores. Minutes on one core.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from engine.models.protocols import TransformerConfig
from engine.models.zoo.sampling import (
    BOS,
    Examples,
    Mixture,
    RelationSampler,
    induction_batch,
    induction_vocabulary,
    relation_vocabulary,
)
from engine.models.zoo.trainable import TrainableTransformer, save

HEAD_COST = 3e-3  # of the sum of head norms: without it four heads share each role of the induction circuit
HERE = Path(__file__).parent
TPP = "solves TPP (seven templates, broken links noticed) and IOI (both orders) over a vocabulary of whole words"
INDUCTION = "two attention-only layers that go on with a repeated block: previous-token and induction heads"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def rate(step: int, steps: int, peak: float) -> float:
    """Learning rate: 100 steps of warm-up, then a half cosine down to a twentieth."""
    return peak * min(1.0, (step + 1) / 100) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def last_logits(model: TrainableTransformer, examples: Examples) -> Float[Tensor, "batch vocab"]:
    residual = model.residual(examples.tokens)
    return model.logits(residual[torch.arange(len(residual)), examples.last])


@torch.no_grad()
def accuracy(model: TrainableTransformer, examples: Examples) -> float:
    return float((last_logits(model, examples).argmax(-1) == examples.target).float().mean())


class Stage(NamedTuple):
    steps: int
    rate: float  # peak learning rate
    mixture: Mixture


# Copying and broken links first; then more sentences about another subject, which is learned last and only from many.
STAGES = (
    Stage(4000, 3e-3, Mixture(tpp=0.5, broken=0.2, subject=0.15)),
    Stage(2500, 2e-3, Mixture(tpp=0.75, broken=0.2, subject=0.35)),
)


def relation_model(vocab: list[str]) -> TrainableTransformer:
    return TrainableTransformer(
        TransformerConfig(
            architecture="zoo-tpp",
            n_layers=3,
            n_heads=4,
            d_model=64,
            d_head=16,
            d_mlp=256,
            d_vocab=len(vocab),
            n_ctx=32,
        )
    )


def relation_accuracy(model: TrainableTransformer, sampler: RelationSampler, seed: int, n: int) -> dict[str, float]:
    """Accuracy on held-out combinations: TPP, TPP with each alteration, IOI."""
    rng = np.random.default_rng(seed)
    return {
        "tpp": accuracy(model, sampler.tpp_batch(rng, n, held_out=True)),
        "tpp_broken_link": accuracy(model, sampler.tpp_batch(rng, n, held_out=True, broken=1.0)),
        "tpp_other_subject": accuracy(model, sampler.tpp_batch(rng, n, held_out=True, subject=1.0)),
        "ioi": accuracy(model, sampler.ioi_batch(rng, n, held_out=True)),
    }


def train_stage(model: TrainableTransformer, sampler: RelationSampler, stage: Stage, seed: int, batch: int) -> None:
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=stage.rate, betas=(0.9, 0.98), weight_decay=0.01)
    started = time.monotonic()
    for step in range(stage.steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, stage.steps, stage.rate)
        examples = sampler.batch(rng, batch, stage.mixture)
        loss = F.cross_entropy(last_logits(model, examples), examples.target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == stage.steps - 1:
            held_out = relation_accuracy(model, sampler, seed + 1, 300)
            shown = "  ".join(f"{name} {value:.3f}" for name, value in held_out.items())
            say(f"step {step:5}  loss {loss.item():.3f}  {shown}  {time.monotonic() - started:.0f} s")


def train_relations(folder: Path, seed: int, batch: int = 128) -> None:
    """`zoo:tpp`: TPP (seven templates) and IOI (fifteen, both orders) over one word-level vocabulary."""
    torch.manual_seed(seed)
    vocab = relation_vocabulary()
    sampler = RelationSampler(vocab)
    model = relation_model(vocab)
    for number, stage in enumerate(STAGES):
        train_stage(model, sampler, stage, seed + 10 * number, batch)
    finish_relations(folder, model, sampler, vocab, seed)


def finish_relations(
    folder: Path, model: TrainableTransformer, sampler: RelationSampler, vocab: list[str], seed: int
) -> None:
    """Measure on 3,000 held-out combinations of each kind, print, and write the files."""
    held_out = relation_accuracy(model, sampler, seed + 2, 3000)
    for name, value in held_out.items():
        print(f"zoo:tpp held-out accuracy {name} {value:.4f}")
    save(model, folder / "tpp.safetensors", vocab, BOS, TPP, {"seed": seed, "held_out_accuracy": held_out})


def train_induction(folder: Path, seed: int, steps: int = 3000, batch: int = 64) -> None:
    """`zoo:induction`: two attention-only layers, no LayerNorm, trained to go on with a block that repeats."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    vocab = induction_vocabulary()
    config = TransformerConfig(
        architecture="attn-only",
        n_layers=2,
        n_heads=4,
        d_model=64,
        d_head=16,
        d_vocab=len(vocab),
        n_ctx=64,
        normalization="none",
    )
    model = TrainableTransformer(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01)
    started = time.monotonic()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, 3e-3)
        tokens, known = induction_batch(rng, batch, len(vocab), config.n_ctx)
        logits = model(tokens)[:, :-1][known[:, :-1]]
        loss = F.cross_entropy(logits, tokens[:, 1:][known[:, :-1]]) + HEAD_COST * model.head_norms().sum()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == steps - 1:
            right = float((logits.argmax(-1) == tokens[:, 1:][known[:, :-1]]).float().mean())
            say(f"step {step:5}  loss {loss.item():.3f}  accuracy {right:.3f}  {time.monotonic() - started:.0f} s")
    check = np.random.default_rng(seed + 1)
    tokens, known = induction_batch(check, 512, len(vocab), config.n_ctx)
    with torch.no_grad():
        right = float((model(tokens).argmax(-1)[:, :-1] == tokens[:, 1:])[known[:, :-1]].float().mean())
    block = torch.from_numpy(np.stack([check.permutation(np.arange(1, len(vocab)))[:24] for _ in range(128)]))
    twice = torch.cat([torch.zeros(128, 1, dtype=torch.long), block, block], dim=1)
    facts: dict[str, object] = {"seed": seed, "steps": steps, "batch": batch, "held_out_accuracy": right}
    for layer, heads in enumerate(model.patterns(twice)):
        for head, pattern in enumerate(heads):
            previous = float(pattern[:, 1:].diagonal(0, 1, 2).mean())
            induction = float(pattern[:, 25:].diagonal(2, 1, 2).mean())  # query i attends to i - 24 + 1
            facts[f"L{layer}H{head}"] = {"previous_token": round(previous, 4), "induction": round(induction, 4)}
    save(model, folder / "induction.safetensors", vocab, BOS, INDUCTION, facts)
    for name, value in facts.items():
        print(f"zoo:induction {name} {value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", nargs="*", choices=["induction", "tpp"], default=["induction", "tpp"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to")
    options = parser.parse_args()
    torch.set_num_threads(1)  # the same sums in the same order on every machine with this torch
    if "induction" in options.which:
        train_induction(options.out, options.seed)
    if "tpp" in options.which:
        train_relations(options.out, options.seed)


if __name__ == "__main__":
    main()
