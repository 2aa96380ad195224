"""What the published training would take, from what was measured here."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import torch

from engine.rasp.metamodel.architecture import PUBLISHED, Size
from engine.rasp.metamodel.data import Corpus, Row
from engine.rasp.metamodel.training import PUBLISHED as RECIPE
from engine.rasp.metamodel.training import Recipe, Training

PROGRAMS = 1_600_000  # published
PROGRAM_TOKENS = 45  # of a published program, about
PUBLISHED_HOURS = 24  # on one RTX 3090
PEAK_3090 = 35.6e12  # its float32 peak, FLOP a second
USED = 0.35  # the share of a peak that such a training reaches, about


class Scaling(NamedTuple):
    device: str
    seconds: float  # of one published step here
    measured_batch: int  # measured with so many rows and scaled up to the published batch
    flop: float  # of a published step
    memory: int  # bytes for a published step

    @property
    def rate(self) -> float:
        """FLOP a second reached here."""
        return self.flop / self.seconds

    @property
    def epoch_hours(self) -> float:
        """One pass over the published dataset."""
        return self.seconds * PROGRAMS / RECIPE.batch / 3600

    @property
    def gpu_step(self) -> float:
        """Seconds of a published step on the published GPU, at `USED` of its peak."""
        return self.flop / (PEAK_3090 * USED)

    @property
    def days(self) -> float:
        """What one day on the published GPU would be here."""
        return PUBLISHED_HOURS / 24 * self.seconds / self.gpu_step


def flop_per_step(size: Size, batch: int, program_tokens: int) -> float:
    """Forward and backward: 6 for every weight and token, 12 for every pair of tokens and unit of width."""
    tokens = size.pieces + program_tokens
    block = 4 * size.d**2 + 2 * size.d * size.mlp
    pairs = size.layers * 12 * tokens**2 * size.d / 2  # causal: half of them
    unembed = 6 * program_tokens * size.d * size.vocabulary
    return float(batch * (6 * size.layers * block * tokens + pairs + unembed))


def memory(size: Size, batch: int, program_tokens: int) -> int:
    """Bytes in float32: weights, gradients and Adam's two moments, and what the backward pass needs of the forward."""
    tokens = size.pieces + program_tokens
    kept = 10 * size.d + 2 * size.mlp  # per token and layer: norms, queries, keys, values, outputs, the hidden layer
    return 16 * size.parameters + 4 * batch * tokens * (size.layers * kept + size.d)


def measure(device: str, batch: int) -> Scaling:
    """One published step, timed after one to warm up, with `batch` rows of made-up weights."""
    rng = np.random.default_rng(0)
    rows = [_made_up(rng) for _ in range(batch)]
    corpus = Corpus(rows, PUBLISHED, device=device)
    recipe = Recipe(steps=2, batch=batch, validate_every=10)
    training = Training(PUBLISHED, recipe, corpus, Corpus(rows[:0], PUBLISHED, device=device))
    training.run(until=1)
    started = time.perf_counter()
    training.run(until=2)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - started) * RECIPE.batch / batch
    return Scaling(
        device=device,
        seconds=seconds,
        measured_batch=batch,
        flop=flop_per_step(PUBLISHED, RECIPE.batch, PROGRAM_TOKENS),
        memory=memory(PUBLISHED, RECIPE.batch, PROGRAM_TOKENS),
    )


def _made_up(rng: np.random.Generator) -> Row:
    """A datapoint of the usual size: few weights that are not zero."""
    weights = 8_000
    places = np.sort(rng.choice(weights, 300, replace=False))
    tokens = tuple(rng.integers(1, PUBLISHED.vocabulary, PROGRAM_TOKENS).tolist())
    return Row(places, np.ones(300, dtype=np.float32), weights, tokens, 6)
