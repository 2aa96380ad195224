"""Train `zoo:base`, seeded, on a CPU: `python -P -m engine.models.zoo.train_base`. Some ten minutes on one core.

A model that knows words, names and repetition and no transitive property, for fine-tuning. Writes `base.safetensors`,
and `base.json` with the tokenizer in it, beside this file, and prints what is measured on documents not trained on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tokenizers
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from engine.models.protocols import TransformerConfig
from engine.models.tokenizers import FileTokenizer
from engine.models.zoo.language import Language, Tokens, train_tokenizer
from engine.models.zoo.train_transformers import HERE, rate, say
from engine.models.zoo.trainable import TrainableTransformer, save
from engine.prompts import tpp
from engine.prompts.tokenized import tokenize

BATCH, N_CTX = 32, 64
# Tokens that can be told (the indirect object, the repetition of a block) are an eighth of all, and most of the others
# teach only how often a noun is said. More weight on that eighth makes the heads that copy form in minutes, and of the
# others a quarter, drawn anew for each batch, is enough.
DETERMINED_WEIGHT, OTHERS = 2.0, 0.25


class Stage(NamedTuple):
    steps: int
    rate: float  # peak learning rate
    language: Language


# The names are learned in the first stage and repeated blocks hardly: the second, mostly of those, gets half of their
# tokens right. From there TPP is learned in some 250 batches of 64, in the main variant a little later.
STAGES = (Stage(2000, 3e-3, Language(names_share=0.5, block_share=0.2)), Stage(1000, 2e-3, Language(0.2, 0.6)))
SUMMARY = "knows nouns and names (IOI) in subword tokens, half of a repeated block and no TPP: a base for fine-tuning"


def base_model(vocabulary: int) -> TrainableTransformer:
    return TrainableTransformer(
        TransformerConfig(
            architecture="zoo-base",
            n_layers=4,
            n_heads=8,
            d_model=64,
            d_head=16,
            d_mlp=256,
            d_vocab=vocabulary,
            n_ctx=N_CTX,
        )
    )


def losses(
    model: TrainableTransformer, batch: Tokens, scored: Bool[np.ndarray, "n next"]
) -> tuple[Float[Tensor, " scored"], Bool[Tensor, " scored"], Bool[Tensor, " scored"]]:
    """Of the scored next tokens: cross-entropy (nats), whether the prediction is right, and which can be told."""
    ids, kept = torch.from_numpy(batch.ids), torch.from_numpy(scored)
    logits, following = model.logits(model.residual(ids[:, :-1])[kept]), ids[:, 1:][kept]
    loss = F.cross_entropy(logits, following, reduction="none")
    return loss, logits.argmax(-1) == following, torch.from_numpy(batch.determined[:, 1:])[kept]


@torch.no_grad()
def ioi_accuracy(model: TrainableTransformer, inner: tokenizers.Tokenizer, rng: np.random.Generator, n: int) -> float:
    """Share of held-out (IO, S) pairs after which the IO's name has the largest logit of the vocabulary."""
    language, right = Language(), 0
    for _ in range(n):
        sentence, answer, _ = language.names_document(rng, held_out=True).parts
        logits = model(torch.tensor([inner.encode(sentence).ids]))[0, -1]
        right += int(logits.argmax()) == inner.encode(answer).ids[0]
    return right / n


@torch.no_grad()
def tpp_accuracy(
    model: TrainableTransformer, inner: tokenizers.Tokenizer, rng: np.random.Generator, n: int, variant: tpp.Variant
) -> float:
    """Share of TPP prompts whose c (in the main variant its first token) has the largest logit of the vocabulary."""
    rows = tpp.make(rng, n, variant=variant, tokenizer=FileTokenizer(inner, None, "base"))
    right = 0
    for start in range(0, n, 100):
        batch = tokenize(rows[start : start + 100], FileTokenizer(inner, None, "base"), n_ctx=N_CTX)
        predicted = model(batch.tokens)[torch.arange(len(batch.tokens)), batch.at[:, 0]].argmax(-1)
        right += int((predicted == batch.answers[:, 0]).sum())
    return right / n


def train_stage(model: TrainableTransformer, inner: tokenizers.Tokenizer, stage: Stage, seed: int) -> None:
    rng = np.random.default_rng(seed + 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=stage.rate, betas=(0.9, 0.98), weight_decay=0.01)
    started = time.monotonic()
    for step in range(stage.steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, stage.steps, stage.rate)
        batch = stage.language.batch(rng, inner, BATCH, N_CTX)
        drawn = rng.random((BATCH, N_CTX - 1)) < OTHERS
        loss, right, told = losses(model, batch, drawn | batch.determined[:, 1:])
        total = loss[~told].mean() + DETERMINED_WEIGHT * loss[told].mean()
        optimizer.zero_grad()
        torch.autograd.backward(total)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == stage.steps - 1:
            pairs = ioi_accuracy(model, inner, np.random.default_rng(seed + 2), 100)
            parts = (
                f"loss {loss[~told].mean():.3f} {loss[told].mean():.3f}  determined {right[told].float().mean():.3f}"
            )
            say(f"step {step:5}  {parts}  ioi {pairs:.3f}  {time.monotonic() - started:.0f} s")


def train(folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    inner = train_tokenizer(seed)
    model = base_model(inner.get_vocab_size())
    for number, stage in enumerate(STAGES):
        train_stage(model, inner, stage, seed + 10 * number)
    finish(folder, model, inner, seed)


def finish(folder: Path, model: TrainableTransformer, inner: tokenizers.Tokenizer, seed: int) -> None:
    """Measure on fresh documents, print, and write the files."""
    rng = np.random.default_rng(seed + 3)
    with torch.no_grad():
        everywhere = np.ones((256, N_CTX - 1), dtype=bool)
        loss, *_ = losses(model, Language().batch(rng, inner, 256, N_CTX), everywhere)
        blocks = Language(names_share=0.0, block_share=1.0).batch(rng, inner, 256, N_CTX)
        _, right, _ = losses(model, blocks, blocks.determined[:, 1:])
    facts: dict[str, object] = {
        "seed": seed,
        "loss": round(float(loss.mean()), 4),
        "repeated_block_accuracy": round(float(right.float().mean()), 4),
        "ioi_held_out_accuracy": ioi_accuracy(model, inner, rng, 1000),
        "tpp_main_accuracy": tpp_accuracy(model, inner, rng, 3000, "main"),
        "tpp_single_token_accuracy": tpp_accuracy(model, inner, rng, 1150, "single_token"),
    }
    for name, value in facts.items():
        print(f"zoo:base {name} {value}")
    described = {"type": "tokenizers", "json": json.loads(inner.to_str()), "bos": None}
    save(model, folder / "base.safetensors", described, SUMMARY, facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to")
    options = parser.parse_args()
    torch.set_num_threads(1)  # the same sums in the same order on every machine with this torch
    train(options.out, options.seed)


if __name__ == "__main__":
    main()
