"""A handful of real datapoints, and a meta-model small enough to learn them by heart in seconds."""

from __future__ import annotations

import pytest

from engine.rasp.metamodel.architecture import Metamodel, Size
from engine.rasp.metamodel.data import Corpus, Row, Source, draw
from engine.rasp.metamodel.training import Recipe, Training
from engine.rasp.sampling.shard import Plan

TINY = Size(m=1_024, d=64, layers=2, heads=2, mlp=128, r=40)
SOURCE = Source(plan=Plan(seed=1, shard_size=40, shortest=3, longest=4, vocab_size=3, max_len=3, held_out=0.2))


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    """Ten that are small enough for the meta-model."""
    found = draw(SOURCE, 40, splits=("train",)).rows["train"]
    return [row for row in found if row.weights <= TINY.m][:10]


@pytest.fixture(scope="session")
def corpus(rows: list[Row]) -> Corpus:
    return Corpus(rows, TINY)


@pytest.fixture(scope="session")
def learnt(corpus: Corpus) -> Metamodel:
    """A meta-model that knows the ten by heart."""
    recipe = Recipe(steps=220, batch=10, lr=3e-3, warmup=10, cosine=True, validate_every=220)
    model = Training(TINY, recipe, corpus, corpus).run()
    model.describes = {"source": {"plan": {"seed": 1}}}
    return model
